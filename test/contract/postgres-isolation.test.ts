import { Pool } from "pg";
import type { PoolClient } from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { nodePostgres } from "../../adapters/sql/index.ts";
import type { Isolation } from "../../src/ports/database.ts";
import { newDecision, newIntent } from "../../src/testing/database-samples.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { preparePostgres } from "../support/postgres-under-test.ts";

/** Transactions that meet each other, at every isolation level. */
const server = await startPostgresServer();
afterAll(() => server?.stop());

const ISOLATIONS: readonly Isolation[] = ["read committed", "repeatable read", "serializable"];
const ID = newDecision(1).transactionId;
const AT = 1_000_000;

async function world(parameters = "") {
  const url = await server!.createDatabase();
  const pool = new Pool({ connectionString: url + parameters });
  const database = nodePostgres(pool);
  const rest = await preparePostgres(database, async (text, values) => (await pool.query(text, values)).rows);
  await pool.query("CREATE TABLE stock (item text PRIMARY KEY, count integer NOT NULL)");
  await pool.query("INSERT INTO stock VALUES ('a', 2), ('b', 2)");
  return { ...rest, pool, database, [Symbol.asyncDispose]: () => pool.end() };
}

const take = (sql: PoolClient, item: string) => sql.query("UPDATE stock SET count = count - 1 WHERE item = $1", [item]);
const sum = async (sql: PoolClient) => (await sql.query("SELECT sum(count) FROM stock")).rows;

/** Resolves when all that go by it have arrived. */
function meeting(count: number): () => Promise<void> {
  let open!: () => void;
  const full = new Promise<void>((resolve) => (open = resolve));
  return () => {
    if (--count === 0) open();
    return full;
  };
}

for (const isolation of ISOLATIONS) {
  describe.skipIf(server === undefined)(`at ${isolation.toUpperCase()}`, () => {
    test("who commits after a check-back comes late, also where it began before that", async () => {
      await using w = await world();
      await w.database.barrier.intend(newIntent(1));
      const buy = (checkBack: boolean) =>
        w.database.run(
          async ({ sql, decide }) => {
            await sum(sql);
            await take(sql, "a");
            if (checkBack) expect((await w.database.barrier.rollBack(ID, AT, 0))?.verdict).toBe("rolledBack");
            await decide(newDecision(1));
          },
          { isolation },
        );
      const first = await buy(true);
      // The database may ask for another try before it tells that the key is taken.
      if (first.status !== "late") expect(first).toMatchObject({ status: "rolledBack", retryable: true });
      expect((await buy(false)).status).toBe("late");
      expect((await w.pool.query("SELECT sum(count)::int AS sum FROM stock")).rows).toEqual([{ sum: 4 }]);
    });

    test("a deadlock rolls one of two back, which may be tried again", async () => {
      await using w = await world();
      const met = meeting(2);
      const buy = (first: string, second: string, id: number) =>
        w.database.run(
          async ({ sql, decide }) => {
            await take(sql, first);
            await met();
            await take(sql, second);
            await decide(newDecision(id));
          },
          { isolation },
        );
      const outcomes = await Promise.all([buy("a", "b", 1), buy("b", "a", 2)]);
      const lost = outcomes.filter(({ status }) => status !== "committed");
      expect(lost).toMatchObject([{ status: "rolledBack", retryable: true, error: { code: "40P01" } }]);
    });

    test("the transaction runs at that level, and the next one on its connection at the database's own", async () => {
      await using w = await world();
      const show = async (sql: PoolClient) => (await sql.query("SHOW transaction_isolation")).rows[0];
      const outcome = await w.database.run(({ sql }) => show(sql), { isolation });
      expect(outcome).toMatchObject({ value: { transaction_isolation: isolation } });
      expect(await w.database.run(({ sql }) => show(sql))).toMatchObject({
        value: { transaction_isolation: "read committed" },
      });
    });
  });
}

describe.skipIf(server === undefined)("transactions that cannot be put in an order", () => {
  const skew = async (isolation: Isolation) => {
    await using w = await world();
    const met = meeting(2);
    const buy = (item: string, id: number) =>
      w.database.run(
        async ({ sql, decide }) => {
          await sum(sql);
          await met();
          await take(sql, item);
          await decide(newDecision(id));
        },
        { isolation },
      );
    return await Promise.all([buy("a", 1), buy("b", 2)]);
  };

  test("at SERIALIZABLE one of them is rolled back, and may be tried again", async () => {
    const lost = (await skew("serializable")).filter(({ status }) => status !== "committed");
    expect(lost).toMatchObject([{ status: "rolledBack", retryable: true, error: { code: "40001" } }]);
  });

  test("at REPEATABLE READ both are committed where they write different rows", async () => {
    expect((await skew("repeatable read")).map(({ status }) => status)).toEqual(["committed", "committed"]);
  });

  test("at REPEATABLE READ one of them is rolled back where both write one row, and may be tried again", async () => {
    await using w = await world();
    const met = meeting(2);
    const buy = (id: number) =>
      w.database.run(
        async ({ sql, decide }) => {
          await sum(sql);
          await met();
          await take(sql, "a");
          await decide(newDecision(id));
        },
        { isolation: "repeatable read" },
      );
    const lost = (await Promise.all([buy(1), buy(2)])).filter(({ status }) => status !== "committed");
    expect(lost).toMatchObject([{ status: "rolledBack", retryable: true, error: { code: "40001" } }]);
  });
});

describe.skipIf(server === undefined)("a check-back that meets a commit on its way", () => {
  test("waits for two seconds, decides nothing, and finds the commit afterwards", async () => {
    await using w = await world();
    await w.database.barrier.intend(newIntent(1));
    const outcome = await w.database.run(async ({ sql, decide }) => {
      await take(sql, "a");
      await decide(newDecision(1));
      const began = performance.now();
      await expect(w.database.barrier.rollBack(ID, AT, 0)).rejects.toMatchObject({ code: "55P03" });
      expect(performance.now() - began).toBeLessThan(4_000);
      expect((await w.database.barrier.find([ID])).get(ID)?.state).toBe("intended");
    });
    expect(outcome.status).toBe("committed");
    expect((await w.database.barrier.rollBack(ID, AT, 0))?.verdict).toBe("committed");
  });

  test("waits, and goes on where that commit is rolled back", async () => {
    await using w = await world();
    await w.database.barrier.intend(newIntent(1));
    let answer: ReturnType<typeof w.database.barrier.rollBack> | undefined;
    await w.database.run(async ({ decide }) => {
      await decide(newDecision(1));
      answer = w.database.barrier.rollBack(ID, AT, 0);
      const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
      await expect.poll(async () => (await w.pool.query(waiting)).rowCount).toBe(1);
      throw new Error("no stock");
    });
    expect((await answer)?.verdict).toBe("rolledBack");
  });
});

describe.skipIf(server === undefined)("where the user's own default is SERIALIZABLE", () => {
  test("our transactions run at READ COMMITTED, and two sweepers do not disturb each other", async () => {
    await using w = await world("?options=-c%20default_transaction_isolation%3Dserializable");
    for (let id = 0; id < 40; id++) await w.database.write({ decision: newDecision(id) });
    const claim = (token: string) =>
      w.database.barrier.claimUnsettled({ source: newDecision(1).source, limit: 10, leaseMillis: 60_000, token });
    const claims = await Promise.all(["a", "b", "c", "d"].map(claim));
    expect(new Set(claims.flatMap(({ decided }) => decided.map(({ transactionId }) => transactionId))).size).toBe(40);
  });
});
