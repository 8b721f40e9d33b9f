import { DatabaseSync } from "node:sqlite";
import type { Clock, Database } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import type { MemorySql } from "aftercommit/memory";
import { nodeSqlite } from "aftercommit/sql";

/** The shop's database: orders by the transaction that wrote them, and what consumers did. */
export interface Ledger {
  readonly database: Database<unknown, never>;
  /** Writes the order, in an open transaction. */
  order(sql: unknown, transactionId: string): Promise<void> | void;
  /** Writes an effect, in an open transaction. */
  effect(sql: unknown, consumer: string, messageId: string): Promise<void> | void;
  /** The transactions in which an order was written. */
  orders(): readonly string[];
  /** How often each effect happened, by consumer and message id. */
  effects(): ReadonlyMap<string, number>;
  /** The decisions as they stand. */
  verdicts(): Iterable<readonly [transactionId: string, verdict: string]>;
  /** Lets time pass for a database that has a clock of its own. */
  pass(millis: number): void;
}

/** A ledger in memory. */
export function memoryLedger(clock: Clock): Ledger {
  const database = memoryDatabase({ clock });
  const keys = (prefix: string) =>
    [...database.table()].filter(([key]) => key.startsWith(prefix)).map(([key]) => key.slice(prefix.length));
  return {
    database,
    order: (sql, transactionId) => (sql as MemorySql).put(`order/${transactionId}`, true),
    async effect(sql, consumer, messageId) {
      const key = `effect/${consumer} ${messageId}`;
      const times = (await (sql as MemorySql).get(key)) as number | undefined;
      await (sql as MemorySql).put(key, (times ?? 0) + 1);
    },
    orders: () => keys("order/"),
    effects: () => new Map(keys("effect/").map((key) => [key, database.table().get(`effect/${key}`) as number])),
    *verdicts() {
      for (const [key, row] of database.snapshot())
        if (key.startsWith("decision/")) yield [key, (row as { row: { verdict: string } }).row.verdict] as const;
    },
    pass: () => undefined,
  };
}

/** A ledger in SQLite, whose clock is the system's: time passes there by moving what waits for it. */
export async function sqliteLedger(): Promise<Ledger> {
  const connection = new DatabaseSync(":memory:");
  const database = nodeSqlite(connection);
  await database.createTables();
  connection.exec("CREATE TABLE orders (tx_id TEXT); CREATE TABLE effects (consumer TEXT, message_id TEXT)");
  const all = (text: string) => connection.prepare(text).all() as Record<string, string>[];
  return {
    database: database as unknown as Ledger["database"],
    order(sql, transactionId) {
      (sql as DatabaseSync).prepare("INSERT INTO orders VALUES (?)").run(transactionId);
    },
    effect(sql, consumer, messageId) {
      (sql as DatabaseSync).prepare("INSERT INTO effects VALUES (?, ?)").run(consumer, messageId);
    },
    orders: () => all("SELECT tx_id AS id FROM orders").map(({ id }) => id!),
    effects: () =>
      new Map(
        all("SELECT consumer || ' ' || message_id AS key, count(*) AS times FROM effects GROUP BY 1").map((row) => [
          row.key!,
          Number(row.times),
        ]),
      ),
    *verdicts() {
      const rows = all("SELECT transaction_id AS id, verdict FROM aftercommit_barrier WHERE kind = 'decision'");
      for (const { id, verdict } of rows) yield [id!, verdict!] as const;
    },
    pass(millis) {
      connection.exec(`UPDATE aftercommit_barrier SET due = due - ${millis}`);
      connection.exec(`UPDATE aftercommit_inbox SET expires = expires - ${millis}`);
    },
  };
}
