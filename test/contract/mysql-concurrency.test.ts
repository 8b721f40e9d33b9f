import type { Connection, RowDataPacket } from "mysql2/promise";
import { afterAll, describe, expect, test } from "vitest";
import { mysql2 } from "../../adapters/sql/index.ts";
import type { Isolation } from "../../src/ports/database.ts";
import { claimedIds, claimRows, newDecision, newIntent, signal, SOURCE } from "../../src/testing/database-samples.ts";
import { AT, LONG, sampleId } from "../../src/testing/samples.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { INSERT_TEXT, openMysql } from "../support/mysql-under-test.ts";

const server = await startMariadbServer();
afterAll(() => server?.stop());

const ISOLATIONS: readonly (Isolation | undefined)[] = [undefined, "read committed", "repeatable read", "serializable"];

describe.skipIf(server === undefined)("transactions at once on MariaDB", () => {
  test.each(ISOLATIONS)(
    "a handler at isolation level %s that swallows the news of its rollback comes late all the same",
    async (isolation) => {
      const { database, other, texts } = await openMysql(server!);
      await other.barrier.intend(newIntent(1));
      const outcome = await database.run(
        async ({ sql, decide }) => {
          await sql.query(INSERT_TEXT, ["a"]);
          await sql.query("SELECT COUNT(*) FROM texts");
          await other.barrier.rollBack(sampleId(1), AT, 0);
          await decide(newDecision(1)).catch(() => undefined);
          await sql.query(INSERT_TEXT, ["b"]);
        },
        isolation === undefined ? {} : { isolation },
      );
      expect(outcome.status).toBe("late");
      expect(await texts()).toEqual([]);
    },
  );

  test("of two transactions in a deadlock, one certainly rolled back and may be tried again", async () => {
    const { database, connection, texts } = await openMysql(server!);
    await connection.query("INSERT INTO texts VALUES ('x'), ('y')");
    const [outcomes] = await deadlock(database);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["committed", "rolledBack"]);
    expect(outcomes.find(({ status }) => status === "rolledBack")).toMatchObject({ retryable: true });
    expect(await texts()).toHaveLength(3);
  });

  test("a handler that swallows a deadlock commits nothing, neither before it nor after it", async () => {
    const { database, connection, texts } = await openMysql(server!);
    await connection.query("INSERT INTO texts VALUES ('x'), ('y')");
    const [outcomes, ids] = await deadlock(database, (error) => void error);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["committed", "rolledBack"]);
    expect((await database.barrier.find(ids)).size).toBe(1);
    expect(await texts()).toHaveLength(3);
  });

  test("a lock that was not to be had in time certainly rolls back, and may be tried again", async () => {
    const { database, connection, texts } = await openMysql(server!);
    await connection.query("INSERT INTO texts VALUES ('x')");
    await connection.query("START TRANSACTION");
    await connection.query("DELETE FROM texts WHERE text = 'x'");
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await sql.query("SET SESSION innodb_lock_wait_timeout = 0");
      await sql.query("DELETE FROM texts WHERE text = 'x'");
      await decide(newDecision(1));
    });
    await connection.query("ROLLBACK");
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: true, error: { errno: 1205 } });
    expect(await texts()).toEqual(["x"]);
  });

  test("a decision that could not be written in time, and whose error was swallowed, commits nothing", async () => {
    const { database, connection, texts } = await openMysql(server!);
    await connection.query("START TRANSACTION");
    await plantDecision(connection, 1);
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await sql.query("SET SESSION innodb_lock_wait_timeout = 0");
      await decide(newDecision(1)).catch(() => undefined);
    });
    await connection.query("ROLLBACK");
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: true });
    expect(await texts()).toEqual([]);
  });

  test("a snapshot that another transaction overtook certainly rolls back, and may be tried again", async () => {
    const { database, connection } = await openMysql(server!);
    await connection.query("INSERT INTO texts VALUES ('x')");
    const outcome = await database.run(
      async ({ sql, decide }) => {
        await sql.query("SET SESSION innodb_snapshot_isolation = ON");
        await sql.query("SELECT * FROM texts");
        await connection.query("UPDATE texts SET text = 'y' WHERE text = 'x'");
        await sql.query("UPDATE texts SET text = 'z'");
        await decide(newDecision(1));
      },
      { isolation: "repeatable read" },
    );
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: true });
  });

  test("a check-back that meets a commit in flight rejects soon and decides nothing", async () => {
    const { database, other } = await openMysql(server!);
    await other.barrier.intend(newIntent(1));
    const [decided, finish] = [signal(), signal()];
    const outcome = database.run(async ({ decide }) => {
      await decide(newDecision(1));
      decided.give();
      await finish.given;
    });
    await decided.given;
    const start = performance.now();
    await expect(other.barrier.rollBack(sampleId(1), AT, 0)).rejects.toThrow();
    expect(performance.now() - start).toBeLessThan(5_000);
    expect((await other.barrier.find([sampleId(1)])).get(sampleId(1))?.state).toBe("intended");
    finish.give();
    expect((await outcome).status).toBe("committed");
    expect((await other.barrier.rollBack(sampleId(1), AT, 0))?.verdict).toBe("committed");
  });

  test("a check-back that meets a commit in flight waits a little for it", async () => {
    const { database, other } = await openMysql(server!);
    await other.barrier.intend(newIntent(1));
    let verdict: Promise<string | undefined> | undefined;
    const outcome = await database.run(async ({ decide }) => {
      await decide(newDecision(1));
      verdict = other.barrier.rollBack(sampleId(1), AT, 0).then((row) => row?.verdict);
      verdict.catch(() => undefined);
    });
    expect(outcome.status).toBe("committed");
    expect(await verdict).toBe("committed");
  });
});

describe.skipIf(server === undefined)("sweepers at once on MariaDB", () => {
  test("a transaction that is open, with a decision in it, keeps no sweeper waiting", async () => {
    const { database, other, connection } = await openMysql(server!);
    await connection.query("SET GLOBAL innodb_lock_wait_timeout = 1");
    for (const id of [1, 2, 3]) await other.write({ decision: newDecision(id) });
    await other.barrier.intend(newIntent(4));
    const outcome = await database.run(async ({ decide }) => {
      await decide(newDecision(4));
      expect(claimedIds(await claimRows({ database: other }))).toEqual([1, 2, 3, 4].map(sampleId));
      const found = await other.barrier.find([1, 2, 3].map(sampleId));
      const changes = [...found.values()].flatMap((row) =>
        row.state === "decided" ? [{ row: row.row, results: {}, settled: true, dueMillis: 0 }] : [],
      );
      expect(await other.barrier.settle(changes)).toEqual([true, true, true]);
      expect(await other.barrier.cleanUp({ source: SOURCE, retentionMillis: 0, limit: 100 })).toBe(3);
    });
    expect(outcome.status).toBe("committed");
  });

  test("two sweepers that claim at the same time get different rows, and neither waits", async () => {
    const { database, other } = await openMysql(server!);
    await Promise.all(Array.from({ length: 200 }, (_, n) => database.write({ decision: newDecision(n) })));
    const claims = await Promise.all(
      [database, other, database, other].map((each) => claimRows({ database: each }, { limit: 50 })),
    );
    const ids = claims.flatMap(claimedIds);
    expect(new Set(ids).size).toBe(ids.length);
    while (ids.length < 200) ids.push(...claimedIds(await claimRows({ database })));
    expect(ids.sort()).toEqual(Array.from({ length: 200 }, (_, n) => sampleId(n)).sort());
  });

  test(
    "producers, sweepers and clean-up at once disturb nobody, and nothing is left",
    { timeout: 60_000 },
    async () => {
      const { database, other, texts } = await openMysql(server!, { connectionLimit: 8 });
      const count = 600;
      let next = 0;
      const producing = new Set<number>();
      const settled = new Set<string>();
      const produce = async (producer: number) => {
        producing.add(producer);
        while (next < count) {
          const id = next++;
          if (id % 5 === 0) await database.barrier.intend(newIntent(id));
          const outcome = await database.run(async ({ sql, decide }) => {
            await sql.query(INSERT_TEXT, [sampleId(id)]);
            await decide(newDecision(id));
          });
          expect(outcome).toEqual({ status: "committed", value: undefined });
        }
        producing.delete(producer);
      };
      const sweep = async (through: typeof database) => {
        while (producing.size > 0 || settled.size < count) {
          const { decided, intended } = await claimRows({ database: through }, { limit: 20, leaseMillis: LONG });
          // An intent that came due while its transaction was open still: whoever asks finds the decision or waits.
          for (const id of intended) await through.barrier.find([id]);
          const changes = decided.map((row) => ({ row, results: {}, settled: true, dueMillis: 0 }));
          for (const answer of await through.barrier.settle(changes)) expect(answer).toBe(true);
          for (const { transactionId } of decided) {
            expect(settled).not.toContain(transactionId);
            settled.add(transactionId);
          }
        }
      };
      const drop = () => other.barrier.cleanUp({ source: SOURCE, retentionMillis: 0, limit: 50 });
      const cleanUp = async () => {
        while (producing.size > 0 || settled.size < count) await drop();
      };
      await Promise.all([
        ...Array.from({ length: 8 }, (_, producer) => produce(producer)),
        sweep(database),
        sweep(other),
        sweep(other),
        cleanUp(),
      ]);
      while ((await drop()) > 0);
      expect(await texts()).toHaveLength(count);
      expect(await database.reader.counts(SOURCE)).toEqual({ unsettled: 0, dead: 0, decisions: 0 });
    },
  );

  test("nothing that a sweep asks for reads the whole table", async () => {
    const { pool, connection, database } = await openMysql(server!);
    await connection.query(
      `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due, settled)
       SELECT CONCAT('settled-', seq), 'decision', 'committed', ?, '{"v":1,"bodies":[],"deliveries":[]}', 0, 0, 1 FROM seq_1_to_5000`,
      [SOURCE],
    );
    for (let id = 0; id < 20; id++) await database.write({ decision: newDecision(id) });
    await connection.query("ANALYZE TABLE aftercommit_barrier");
    const statements: string[] = [];
    const recorded = mysql2({
      async getConnection() {
        const inner = await pool.getConnection();
        return {
          query: (options: Parameters<typeof inner.query>[0] & { sql: string }) => {
            statements.push(options.sql);
            return inner.query(options);
          },
          destroy: () => inner.destroy(),
          release: () => inner.release(),
        };
      },
    });
    await claimRows({ database: recorded }, { limit: 10 });
    await recorded.barrier.find([sampleId(1), sampleId(2)]);
    const found = (await recorded.barrier.find([sampleId(1)])).get(sampleId(1));
    if (found?.state !== "decided") throw new Error("expected a decision");
    await recorded.barrier.settle([{ row: found.row, results: {}, settled: true, dueMillis: 0 }]);
    await recorded.barrier.rollBack(sampleId(3), AT, 0);
    await recorded.barrier.cleanUp({ source: "https://other.example.com", retentionMillis: 0, limit: 10 });
    await recorded.reader.listDead(SOURCE);
    await recorded.inbox.claim({ consumer: "receipt", messageId: "m1", token: "t1" }, LONG);
    const ours = statements.filter((text) => text.includes("aftercommit_"));
    expect(ours.length).toBeGreaterThan(10);
    for (const text of ours) {
      const [plan] = await connection.query<RowDataPacket[]>(`EXPLAIN ${text}`);
      for (const { table, type, key } of plan) {
        if (typeof table !== "string" || !table.startsWith("aftercommit")) continue;
        expect([text, type, key]).not.toEqual([text, "ALL", null]);
        expect([text, type]).not.toEqual([text, "index"]);
      }
    }
  });
});

/** Two transactions that want each other's rows, and what became of them. */
async function deadlock(
  database: Awaited<ReturnType<typeof openMysql>>["database"],
  met = (error: unknown): void => {
    throw error;
  },
) {
  const [first, second] = [signal(), signal()];
  const run = (id: number, own: string, others: string, mine: typeof first, theirs: typeof first) =>
    database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, [`text ${id}`]);
      await sql.query("SELECT * FROM texts WHERE text = ? FOR UPDATE", [own]);
      mine.give();
      await theirs.given;
      await sql.query("SELECT * FROM texts WHERE text = ? FOR UPDATE", [others]).catch(met);
      await decide(newDecision(id));
    });
  const outcomes = await Promise.all([run(1, "x", "y", first, second), run(2, "y", "x", second, first)]);
  return [outcomes, [sampleId(1), sampleId(2)]] as const;
}

async function plantDecision(connection: Connection, id: number): Promise<void> {
  await connection.query(
    `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
     VALUES (?, 'decision', 'committed', ?, '', 0, 0)`,
    [sampleId(id), SOURCE],
  );
}
