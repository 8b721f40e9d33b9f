import { neon, neonConfig } from "@neondatabase/serverless";
import type { NeonQueryFunction } from "@neondatabase/serverless";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { neonHttp } from "../../adapters/sql/index.ts";
import type { NeonHttpStatement } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { claimRows, newConsumed, newDecision } from "../../src/testing/database-samples.ts";
import { neonFetch } from "../support/neon-endpoint.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { INSERT_TEXT, preparePostgres } from "../support/postgres-under-test.ts";

/**
 * Neon's own client, its HTTP protocol spoken by a test's endpoint onto a PostgreSQL of this machine: Neon itself is not
 * to be reached from here.
 */
const server = await startPostgresServer();
afterAll(() => server?.stop());
beforeEach(() => {
  neonConfig.fetchFunction = neonFetch;
});

type Plain = NeonQueryFunction<false, false>;

async function prepared<Sql extends Plain>(make: (url: string) => Sql, url: string) {
  const sql = make(url);
  const plain = neon(url);
  const database = neonHttp(sql);
  return {
    ...(await preparePostgres(database, async (text, values) => plain.query(text, values))),
    sql,
    database,
    other: neonHttp(plain),
    concurrent: true,
    insertStatement: (text: string) => sql.query(INSERT_TEXT, [text]),
    dispose: async () => undefined,
  };
}

describe.skipIf(server === undefined)("PostgreSQL through Neon's HTTP client, on an endpoint of the test's own", () => {
  databaseContract<never, NeonHttpStatement<Plain>>({ test }, async () =>
    prepared((url) => neon(url), await server!.createDatabase()),
  );
});

describe.skipIf(server === undefined)("a batch of Neon's", () => {
  test("is all that there is: to open a transaction is an error of types, and there is nothing to call", () => {
    const database = neonHttp(neon("postgres://user@db.example.com/shop"));
    // @ts-expect-error a database of batches has no `run`
    expect(() => database.run(async () => undefined)).toThrow(TypeError);
  });

  test("resolves to what the user's own statements brought, in the shape that they chose", async () => {
    const { database, sql } = await prepared((url) => neon(url), await server!.createDatabase());
    const riders = { consumed: newConsumed(), decision: newDecision(1) };
    const statements = [sql`SELECT 1 AS a`, sql.query("SELECT $1::int AS b", [2], { arrayMode: false })];
    const outcome = await database.batch(statements, riders);
    expect(outcome).toEqual({ status: "committed", value: [[{ a: 1 }], [{ b: 2 }]] });
  });

  test("reads our rows as they are, whatever shape the user chose for theirs", async () => {
    const options = { arrayMode: true, fullResults: true, isolationLevel: "Serializable" } as const;
    const url = await server!.createDatabase();
    await prepared((address) => neon(address), url);
    const sql = neon(url, options);
    const database = neonHttp(sql);
    const outcome = await database.batch([sql`SELECT 1 AS a`], { decision: newDecision(1) });
    expect(outcome).toMatchObject({ status: "committed", value: [{ rows: [[1]], rowCount: 1 }] });
    const { decided } = await claimRows({ database: database as never });
    expect(decided).toMatchObject([{ transactionId: newDecision(1).transactionId, verdict: "committed" }]);
    expect(await database.barrier.settle([{ row: decided[0]!, results: {}, settled: true, dueMillis: 0 }])).toEqual([
      true,
    ]);
  });

  test("is certainly rolled back by any error that has a SQLSTATE, also one that the user's own code raised", async () => {
    const { database, sql, texts } = await prepared((url) => neon(url), await server!.createDatabase());
    const raise = sql`DO $$ BEGIN RAISE EXCEPTION 'no stock'; END $$`;
    const outcome = await database.batch([sql.query(INSERT_TEXT, ["a"]), raise], { decision: newDecision(1) });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false, error: { message: "no stock" } });
    expect(await texts()).toEqual([]);
  });

  test("whose answer was lost is in doubt, and done", async () => {
    const { database, insertStatement, texts } = await prepared((url) => neon(url), await server!.createDatabase());
    neonConfig.fetchFunction = async (endpoint: string, init: RequestInit) => {
      await neonFetch(endpoint, init);
      throw new TypeError("fetch failed");
    };
    const outcome = await database.batch([insertStatement("a")], { decision: newDecision(1) });
    neonConfig.fetchFunction = neonFetch;
    expect(outcome.status).toBe("unknown");
    expect(await texts()).toEqual(["a"]);
    expect((await database.barrier.find([newDecision(1).transactionId])).size).toBe(1);
  });

  test("that never arrived is in doubt, and not done", async () => {
    const { database, insertStatement, texts } = await prepared((url) => neon(url), await server!.createDatabase());
    neonConfig.fetchFunction = () => Promise.reject(new TypeError("fetch failed"));
    const outcome = await database.batch([insertStatement("a")], { decision: newDecision(1) });
    neonConfig.fetchFunction = neonFetch;
    expect(outcome.status).toBe("unknown");
    expect(await texts()).toEqual([]);
  });

  test("that a proxy answered with a server error is in doubt", async () => {
    const { database, insertStatement } = await prepared((url) => neon(url), await server!.createDatabase());
    neonConfig.fetchFunction = async () => new Response("upstream timed out", { status: 504 });
    const outcome = await database.batch([insertStatement("a")], { decision: newDecision(1) });
    expect(outcome.status).toBe("unknown");
  });

  test("of ours alone runs at READ COMMITTED and writes, whatever the user's default is", async () => {
    const url = await server!.createDatabase();
    const { database } = await prepared((address) => neon(address), url);
    const seen: (string | null)[][] = [];
    neonConfig.fetchFunction = (endpoint: string, init: RequestInit) => {
      const headers = new Headers(init.headers);
      seen.push(["neon-batch-isolation-level", "neon-batch-read-only"].map((name) => headers.get(name)));
      return neonFetch(endpoint, init);
    };
    const strict = neonHttp(neon(url, { isolationLevel: "Serializable", readOnly: true }));
    expect((await strict.write({ consumed: newConsumed(), decision: newDecision(1) })).status).toBe("committed");
    expect(seen).toEqual([["ReadCommitted", "false"]]);
    expect((await database.barrier.find([newDecision(1).transactionId])).size).toBe(1);
  });
});
