import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import { describe, test } from "vitest";
import { nodeSqlite } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";

describe("node:sqlite", () => {
  databaseContract<DatabaseSync, never>({ test }, async () => {
    const directory = await mkdtemp(join(tmpdir(), "aftercommit-sqlite-"));
    const path = join(directory, "shop.sqlite");
    const [first, second] = [new DatabaseSync(path), new DatabaseSync(path)];
    for (const connection of [first, second]) connection.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000");
    const database = nodeSqlite(first);
    await database.createTables();
    first.exec("CREATE TABLE texts (text TEXT PRIMARY KEY)");
    return {
      database,
      other: nodeSqlite(second),
      insert: async (sql, text) => {
        sql.prepare("INSERT INTO texts (text) VALUES (?)").run(text);
      },
      texts: async () =>
        second
          .prepare("SELECT text FROM texts ORDER BY text")
          .all()
          .map(({ text }) => String(text)),
      plant: async (transactionId, messages, source) => {
        second
          .prepare(
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
});
