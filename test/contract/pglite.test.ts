import { PGlite } from "@electric-sql/pglite";
import type { Transaction } from "@electric-sql/pglite";
import { afterAll, describe, expect, test } from "vitest";
import { pglite } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { INSERT_TEXT, preparePostgres } from "../support/postgres-under-test.ts";

/** Slow to start: one for all tests, emptied in between. */
const db = await PGlite.create();
afterAll(() => db.close());

async function emptied(): Promise<PGlite> {
  await db.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  return db;
}

describe("PGlite", () => {
  databaseContract<Transaction, never>({ test }, async () => {
    const database = pglite(await emptied());
    return {
      ...(await preparePostgres(
        database,
        async (text, values) => (await db.query<object>(text, values)).rows as never,
      )),
      database,
      other: pglite(db),
      insert: async (sql, text) => void (await sql.query(INSERT_TEXT, [text])),
      dispose: async () => undefined,
    };
  });

  test("a transaction that the work rolled back by itself is rolled back", async () => {
    const database = pglite(await emptied());
    const outcome = await database.run(async ({ sql }) => {
      await sql.exec("CREATE TABLE orders (id text)");
      await sql.rollback();
    });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
  });
});
