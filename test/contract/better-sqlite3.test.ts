import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Database from "better-sqlite3";
import { describe, test } from "vitest";
import { betterSqlite3 } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";

describe("better-sqlite3", () => {
  databaseContract<Database.Database, never>({ test }, async () => {
    const directory = await mkdtemp(join(tmpdir(), "aftercommit-sqlite-"));
    const path = join(directory, "shop.sqlite");
    const [first, second] = [new Database(path), new Database(path)];
    first.pragma("journal_mode = WAL");
    const database = betterSqlite3(first);
    await database.createTables();
    first.exec("CREATE TABLE texts (text TEXT PRIMARY KEY)");
    return {
      database,
      other: betterSqlite3(second),
      insert: async (sql, text) => {
        sql.prepare("INSERT INTO texts (text) VALUES (?)").run(text);
      },
      texts: async () => second.prepare("SELECT text FROM texts ORDER BY text").pluck().all().map(String),
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
