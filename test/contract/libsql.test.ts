import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "@libsql/client";
import type { Config, InStatement, Transaction } from "@libsql/client";
import { describe, expect, onTestFinished, test } from "vitest";
import { libsql } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { newDecision } from "../../src/testing/database-samples.ts";
import { sampleId } from "../../src/testing/samples.ts";

/** Two clients of a file of its own. */
async function prepared(options: Partial<Config> = {}) {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-libsql-"));
  const url = `file:${join(directory, "shop.sqlite")}`;
  const open = () => createClient({ url, timeout: 2_000, ...options });
  const [client, second] = [open(), open()];
  await client.execute("PRAGMA journal_mode = WAL");
  const database = libsql(client);
  await database.createTables();
  await client.execute("CREATE TABLE texts (text TEXT PRIMARY KEY)");
  return {
    client,
    second,
    database,
    other: libsql(second),
    insert: async (sql: Transaction, text: string) => void (await sql.execute(insertStatement(text))),
    insertStatement,
    texts: async () => {
      const { rows } = await second.execute("SELECT text FROM texts ORDER BY text");
      return rows.map(({ text }) => text as string);
    },
    dispose: async () => {
      client.close();
      second.close();
      await rm(directory, { recursive: true });
    },
  };
}

function insertStatement(text: string): InStatement {
  return { sql: "INSERT INTO texts (text) VALUES (?)", args: [text] };
}

for (const [name, options] of [
  ["libSQL", {}],
  ["libSQL with integers as bigints", { intMode: "bigint" }],
] as const) {
  describe(name, () => {
    databaseContract<Transaction, InStatement>({ test }, async () => {
      const { client: _, second, ...tested } = await prepared(options);
      return {
        ...tested,
        plant: async (transactionId, messages, source) => {
          const sql = `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
            VALUES (?, 'decision', 'committed', ?, ?, 0, 0)`;
          await second.execute({ sql, args: [transactionId, source, messages] });
        },
        advance: (millis) => wait(millis),
      };
    });
  });
}

describe("libSQL, and what is its own", () => {
  test("transactions at once on one client take turns", async () => {
    const tested = await prepared();
    onTestFinished(tested.dispose);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        tested.database.run(async ({ sql, decide }) => {
          await tested.insert(sql, `text ${n}`);
          await decide(newDecision(n));
        }),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => "committed"));
    expect((await tested.database.barrier.find(outcomes.map((_, n) => sampleId(n)))).size).toBe(10);
  });

  test("a batch resolves to the results of the user's statements alone", async () => {
    const tested = await prepared();
    onTestFinished(tested.dispose);
    const statements = [insertStatement("a"), "SELECT text FROM texts"];
    const outcome = await tested.database.batch(statements, { decision: newDecision(1) });
    if (outcome.status !== "committed") throw new Error(`expected it to commit, found it ${outcome.status}`);
    expect(outcome.value.map(({ rows }) => rows.map(({ text }) => text))).toEqual([[], ["a"]]);
  });

  test("a handler that ends the transaction itself has not committed", async () => {
    const tested = await prepared();
    onTestFinished(tested.dispose);
    const outcome = await tested.database.run(async ({ sql, decide }) => {
      await tested.insert(sql, "a");
      await sql.rollback();
      await decide(newDecision(1)).catch(() => undefined);
    });
    expect(outcome.status).toBe("rolledBack");
    expect(await tested.texts()).toEqual([]);
    expect((await tested.database.barrier.find([sampleId(1)])).size).toBe(0);
  });
});
