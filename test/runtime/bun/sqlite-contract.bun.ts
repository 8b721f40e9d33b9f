/** The contract of a database, for bun:sqlite: for `bun test`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Database } from "bun:sqlite";
import { test } from "bun:test";
import { bunSqlite } from "aftercommit/sql";
import { databaseContract } from "aftercommit/testing";

const TIMEOUT_MILLIS = 30_000;

const runner = { test: (name: string, run: () => Promise<void>) => test(name, run, TIMEOUT_MILLIS) };
databaseContract<Database, never>(runner, async () => {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-sqlite-"));
  const path = join(directory, "shop.sqlite");
  const [first, second] = [new Database(path), new Database(path)];
  for (const connection of [first, second]) connection.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000");
  const database = bunSqlite(first);
  await database.createTables();
  first.exec("CREATE TABLE texts (text TEXT PRIMARY KEY)");
  return {
    database,
    other: bunSqlite(second),
    insert: async (sql, text) => {
      sql.query("INSERT INTO texts (text) VALUES (?)").run(text);
    },
    texts: async () =>
      second
        .query("SELECT text FROM texts ORDER BY text")
        .all()
        .map((row) => (row as { readonly text: string }).text),
    plant: async (transactionId, messages, source) => {
      second
        .query(
          `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
           VALUES (?, 'decision', 'committed', ?, ?, 0, 0)`,
        )
        .run(transactionId, source, messages);
    },
    advance: (millis) => wait(millis),
    dispose: async () => {
      first.close();
      second.close();
      await rm(directory, { recursive: true });
    },
  };
});
