import { Pool } from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { dialectOf, nodePostgres } from "../../adapters/sql/index.ts";
import type { SqlStatement } from "../../adapters/sql/index.ts";
import { sqlBarrier } from "../../adapters/sql/barrier.ts";
import { numbered } from "../../adapters/sql/statement.ts";
import type { Barrier } from "../../src/ports/barrier.ts";
import { newDecision, SOURCE } from "../../src/testing/database-samples.ts";
import { startPostgresServer } from "../support/postgres-server.ts";

/** The audit of many rows, by many sweepers. */
const server = await startPostgresServer();
afterAll(() => server?.stop());

const LEASE = 60_000;

async function world() {
  const connectionString = await server!.createDatabase();
  const [first, second] = [new Pool({ connectionString }), new Pool({ connectionString })];
  const database = nodePostgres(first);
  await database.createTables();
  return {
    pool: first,
    database,
    other: nodePostgres(second),
    async [Symbol.asyncDispose]() {
      await Promise.all([first.end(), second.end()]);
    },
  };
}

/** The statements of an act of the barrier's. */
async function statementsOf(act: (barrier: Barrier) => Promise<unknown>): Promise<readonly SqlStatement[]> {
  const statements: SqlStatement[] = [];
  const barrier = sqlBarrier(dialectOf("postgresql"), (given) => {
    statements.push(...given);
    return Promise.reject(new Error("not run"));
  });
  await act(barrier).catch(() => undefined);
  return statements;
}

describe.skipIf(server === undefined)("sweepers of one database", () => {
  test("claim two hundred rows at once, each row once", async () => {
    await using w = await world();
    for (let id = 0; id < 200; id++) await w.database.write({ decision: newDecision(id) });
    const claimed: string[] = [];
    const sweep = async ({ barrier }: { barrier: Barrier }, name: string): Promise<void> => {
      for (let round = 0; ; round++) {
        const options = { source: SOURCE, limit: 7, leaseMillis: LEASE, token: `${name}-${round}` };
        const { decided, more } = await barrier.claimUnsettled(options);
        expect(decided.length).toBeLessThanOrEqual(7);
        claimed.push(...decided.map(({ transactionId }) => transactionId));
        if (!more) return;
      }
    };
    await Promise.all([sweep(w.database, "a"), sweep(w.other, "b"), sweep(w.database, "c"), sweep(w.other, "d")]);
    // One that met only rows that others had locked may have stopped early.
    await sweep(w.database, "e");
    expect([claimed.length, new Set(claimed).size]).toEqual([200, 200]);
  });

  test("do not wait for a row that another one is claiming", async () => {
    await using w = await world();
    for (let id = 0; id < 10; id++) await w.database.write({ decision: newDecision(id) });
    const client = await w.pool.connect();
    await client.query("BEGIN");
    await client.query("SELECT 1 FROM aftercommit_barrier ORDER BY transaction_id LIMIT 4 FOR UPDATE");
    const options = { source: SOURCE, limit: 10, leaseMillis: LEASE, token: "t" };
    const { decided } = await w.other.barrier.claimUnsettled(options);
    expect(decided.length).toBe(6);
    await client.query("ROLLBACK");
    client.release();
  });
});

describe.skipIf(server === undefined)("among many rows", () => {
  test("the due ones and the old ones are found by an index, in its order", async () => {
    await using w = await world();
    // Of ten rows nine are settled, half of them long ago; of the rest half are due.
    await w.pool.query(
      `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due, settled)
       SELECT 't' || n, 'decision', 'committed', $1, repeat('x', 300), 0, CASE WHEN n % 20 = 0 THEN n ELSE 9e12 END,
         CASE WHEN n % 10 = 0 THEN NULL WHEN n % 2 = 0 THEN n ELSE 9e12 END FROM generate_series(1, 20000) AS n`,
      [SOURCE],
    );
    await w.pool.query("ANALYZE");
    const claim = await statementsOf((barrier) =>
      barrier.claimUnsettled({ source: SOURCE, limit: 100, leaseMillis: LEASE, token: "t" }),
    );
    const cleanUp = await statementsOf((barrier) =>
      barrier.cleanUp({ source: SOURCE, retentionMillis: 0, limit: 100 }),
    );
    const plans = await Promise.all(
      [...claim, cleanUp[0]!].map(async ({ text, values }) => {
        const { rows } = await w.pool.query(`EXPLAIN (COSTS OFF) ${numbered(text)}`, [...values]);
        return rows.map((row) => String(row["QUERY PLAN"])).join("\n");
      }),
    );
    expect(plans[0]).toMatch(/Index Scan using aftercommit_barrier_unsettled .*\n\s+Index Cond: .*source = .*due <=/);
    expect(plans[1]).toContain("aftercommit_barrier_unsettled");
    expect(plans[2]).toMatch(/Index Scan using aftercommit_barrier_settled .*\n\s+Index Cond: .*source = .*settled <=/);
    for (const plan of [plans[0], plans[2]]) expect(plan).not.toContain("Sort");
  });
});
