import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import { postgresJs } from "../../adapters/sql/index.ts";
import { claimRows, newConsumed, newDecision } from "../../src/testing/database-samples.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { INSERT_TEXT, preparePostgres } from "../support/postgres-under-test.ts";

const server = await startPostgresServer();
afterAll(() => server?.stop());

const QUIET = { onnotice: () => undefined };

describe.skipIf(server === undefined)("PostgreSQL through postgres", () => {
  databaseContract<postgres.TransactionSql, never>({ test }, async () => {
    const url = await server!.createDatabase();
    const [first, second] = [postgres(url, QUIET), postgres(url, QUIET)];
    const database = postgresJs(first);
    return {
      ...(await preparePostgres(database, (text, values) => second.unsafe(text, values))),
      database,
      other: postgresJs(second),
      concurrent: true,
      insert: async (sql, text) => void (await sql.unsafe(INSERT_TEXT, [text])),
      dispose: async () => {
        await Promise.all([first.end(), second.end()]);
      },
    };
  });

  test("our rows are read as they are for a transaction pooler, and with columns in camel case", async () => {
    const options = { ...QUIET, prepare: false, fetch_types: false, transform: postgres.camel };
    const sql = postgres(await server!.createDatabase(), options);
    const database = postgresJs(sql);
    await database.createTables();
    await database.verify();
    const outcome = await database.run(async ({ consume, decide }) => {
      await consume(newConsumed());
      await decide(newDecision(1));
    });
    expect(outcome.status).toBe("committed");
    expect(await database.inbox.look(newConsumed().claim)).toEqual({ state: "done" });
    const { decided } = await claimRows({ database: database as never });
    expect(decided).toMatchObject([{ transactionId: newDecision(1).transactionId, verdict: "committed", attempts: 1 }]);
    await database.barrier.settle([{ row: decided[0]!, results: {}, settled: true, dueMillis: 0 }]);
    expect(await database.reader.counts(newDecision(1).source)).toMatchObject({ unsettled: 0, decisions: 1 });
    await sql.end();
  });
});
