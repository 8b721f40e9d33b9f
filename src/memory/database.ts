import type { Clock } from "../ports/clock.ts";
import type { Database, Riders, UnitOfWork, UnitOutcome } from "../ports/database.ts";
import { systemClock } from "../system/clock.ts";
import { DECISION, decisionRow, memoryBarrier } from "./database-barrier.ts";
import type { Operate, StoredDecision } from "./database-barrier.ts";
import { databaseFaults } from "./database-faults.ts";
import type { DatabaseFault } from "./database-faults.ts";
import { databaseInbox, doneKey, doneRow } from "./database-inbox.ts";
import type { InboxRow } from "./database-inbox.ts";
import { memoryBarrierReader } from "./database-reader.ts";
import { emptyRows, MemoryDatabaseError } from "./database-rows.ts";
import type { RowsTransaction } from "./database-rows.ts";

/** Options of a memory database. */
export interface MemoryDatabaseOptions {
  /** The database's own clock. @default systemClock */
  readonly clock?: Clock;
  /**
   * How long each call of it takes, on its clock: the begin of a transaction, each of its statements (ours are such), its
   * COMMIT, a whole batch, an operation of ours outside of transactions. @default 0
   */
  readonly latencyMillis?: number;
}

/** The handle on an open transaction: a table of JSON values by key. */
export interface MemorySql {
  /** The value under a key. */
  get(key: string): Promise<unknown>;
  /** Writes a value. Fails where another transaction has written it since this one began. */
  put(key: string, value: unknown): Promise<void>;
  /** Writes a value under a key that must be free; waits for an open transaction that has written it. */
  insert(key: string, value: unknown): Promise<void>;
  /** Deletes a value. */
  delete(key: string): Promise<void>;
  /** Everything in the table, in the order of the keys. */
  entries(): Promise<readonly (readonly [key: string, value: unknown])[]>;
}

/** A statement of a batch. */
export type MemoryStatement = (sql: MemorySql) => Promise<unknown>;

/** Everything that a memory database held at one moment; JSON can hold it. */
export type DatabaseSnapshot = readonly (readonly [key: string, row: unknown])[];

/** A database that can be looked into, put back to an earlier state, and made to fail. */
export interface MemoryDatabase extends Database<MemorySql, MemoryStatement, readonly unknown[]> {
  /** Runs a transaction, always serializable. */
  readonly run: NonNullable<Database<MemorySql>["run"]>;
  /** Runs statements as one transaction. */
  readonly batch: NonNullable<Database<MemorySql, MemoryStatement, readonly unknown[]>["batch"]>;
  /** What is committed in the user's table. */
  table(): ReadonlyMap<string, unknown>;
  /** Lets the next calls that a fault is meant for go wrong, `times` of them. The function that it returns mends it. */
  fail(fault: DatabaseFault, options?: { readonly times?: number }): () => void;
  /** Everything that is committed. */
  snapshot(): DatabaseSnapshot;
  /** Goes back to what was committed then. Open transactions are rolled back. */
  restore(snapshot: DatabaseSnapshot): void;
}

const TABLE = "table/";

/**
 * A business database in memory, for tests and simulations: serializable transactions over a table of the user's, with
 * barrier and inbox rows beside it, on a clock of your choice. A unique key that another open transaction has written is
 * waited for, and a statement that fails breaks its transaction, as in PostgreSQL. Take `run` or `batch` away for a
 * database that has only the other. It ends with the process, so it protects nothing.
 *
 * @example
 * ```ts
 * const clock = simulatedClock();
 * const main = memoryDatabase({ clock });
 * const ac = aftercommit({ databases: { main } });
 * main.fail("commitReplyLost");
 * // … a request runs a transaction, and is told that its outcome is unknown …
 * main.table().get("order-1");
 * ```
 */
export function memoryDatabase(options: MemoryDatabaseOptions = {}): MemoryDatabase {
  const { clock = systemClock, latencyMillis = 0 } = options;
  const rows = emptyRows();
  const faults = databaseFaults();
  const pass = async (): Promise<void> => {
    if (latencyMillis > 0) await clock.sleep(latencyMillis);
  };

  const operate: Operate = async (work, before) => {
    await pass();
    faults.meet("unavailable");
    await before?.();
    const tx = rows.begin();
    try {
      const value = work(tx);
      tx.commit();
      faults.meet("replyLost");
      return value;
    } finally {
      tx.rollBack();
    }
  };

  /** The handle of a transaction; each of its calls is a statement. */
  const handle = (tx: RowsTransaction, statement: Statement): MemorySql => ({
    get: (key) => statement(() => structuredClone(tx.get(TABLE + key))),
    put: (key, value) => statement(() => tx.put(TABLE + key, structuredClone(value))),
    insert: (key, value) => statement(() => tx.insert(TABLE + key, structuredClone(value))),
    delete: (key) => statement(() => tx.delete(TABLE + key)),
    entries: () =>
      statement(() => tx.list(TABLE).map(([key, value]) => [key.slice(TABLE.length), structuredClone(value)])),
  });

  const transact = async <T>(
    work: (unit: UnitOfWork<MemorySql>) => Promise<T>,
    { oneCall }: { readonly oneCall: boolean },
  ): Promise<UnitOutcome<T>> => {
    await pass();
    const refused = faults.take("unavailable", "begin");
    // Who sends a whole transaction and gets no answer does not know whether it arrived.
    if (refused !== undefined) return failed(refused, oneCall && refused.reason === "unavailable");

    const tx = rows.begin();
    let taken: (() => UnitOutcome<never>) | undefined;
    const statement: Statement = async (act) => {
      if (!oneCall) await pass();
      const fault = faults.take("statement", ...(oneCall ? [] : (["unavailable"] as const)));
      return fault === undefined ? act() : tx.break(fault);
    };
    const insert = (key: string, row: unknown, whenTaken: (error: unknown) => UnitOutcome<never>): Promise<void> =>
      statement(async () => {
        try {
          await tx.insert(key, row);
        } catch (error) {
          if (reasonOf(error) === "unique") taken = () => whenTaken(error);
          throw error;
        }
      });
    const sql = handle(tx, statement);
    const unit: UnitOfWork<MemorySql> = {
      sql,
      consume: (consumed) =>
        insert(doneKey(consumed.claim), doneRow(consumed, clock.now()), (error) => {
          const row = rows.committed.get(doneKey(consumed.claim)) as InboxRow | undefined;
          if (row === undefined) return { status: "rolledBack", error, retryable: true };
          return { status: "duplicate", outcome: row.outcome! };
        }),
      decide: (decision) =>
        insert(DECISION + decision.transactionId, decisionRow(decision, clock.now()), (error) => {
          const standing = rows.committed.get(DECISION + decision.transactionId) as StoredDecision | undefined;
          return { status: standing?.row.verdict === "rolledBack" ? "late" : "unknown", error };
        }),
      keepOutcome: (claim, outcome) =>
        statement(() => tx.put(doneKey(claim), { ...(tx.get(doneKey(claim)) as InboxRow), outcome })),
      async savepoint(part) {
        const goBack = await statement(() => tx.savepoint());
        try {
          const value = await part(sql);
          await statement(() => undefined);
          return value;
        } catch (error) {
          if (!oneCall) await pass();
          goBack();
          throw error;
        }
      },
    };
    try {
      const value = await work(unit);
      if (taken !== undefined) throw new MemoryDatabaseError("unique", "one of our rows could not be written");
      if (!oneCall) await pass();
      const refusal = faults.take("commit");
      if (refusal !== undefined) return failed(refusal, false);
      const lost = faults.take("commitLost", ...(oneCall ? [] : (["unavailable"] as const)));
      if (lost !== undefined) return failed(lost, true);
      tx.commit();
      const unheard = faults.take("commitReplyLost");
      return unheard === undefined ? { status: "committed", value } : failed(unheard, true);
    } catch (error) {
      return taken?.() ?? failed(error, false);
    } finally {
      tx.rollBack();
    }
  };

  const batch = (statements: readonly MemoryStatement[], { consumed, decision }: Riders) =>
    transact(
      async (unit) => {
        const results: unknown[] = [];
        if (consumed !== undefined) await unit.consume(consumed);
        for (const statement of statements) results.push(await statement(unit.sql));
        if (decision !== undefined) await unit.decide(decision);
        return results;
      },
      { oneCall: true },
    );

  return {
    barrier: memoryBarrier(rows, operate, clock),
    reader: memoryBarrierReader(operate, clock),
    inbox: databaseInbox(operate, clock),
    run: (work) => transact(work, { oneCall: false }),
    batch,
    async write(riders) {
      const outcome = await batch([], riders);
      return outcome.status === "committed" ? { ...outcome, value: undefined } : outcome;
    },
    verify: () => operate(() => undefined),
    table: () =>
      new Map(
        [...rows.committed]
          .filter(([key]) => key.startsWith(TABLE))
          .map(([key, value]) => [key.slice(TABLE.length), structuredClone(value)]),
      ),
    fail: faults.add,
    snapshot: () => [...rows.committed],
    restore: (snapshot) => rows.restore(snapshot),
  };
}

type Statement = <T>(act: () => T | Promise<T>) => Promise<T>;

function reasonOf(error: unknown): MemoryDatabaseError["reason"] | undefined {
  return error instanceof MemoryDatabaseError ? error.reason : undefined;
}

function failed(error: unknown, inDoubt: boolean): UnitOutcome<never> {
  if (inDoubt) return { status: "unknown", error };
  return { status: "rolledBack", error, retryable: reasonOf(error) === "conflict" };
}
