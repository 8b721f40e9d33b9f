import { Pool } from "pg";
import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import { nodePostgres, postgresJs } from "../../adapters/sql/index.ts";
import type { UnitOfWork } from "../../src/ports/database.ts";
import { newDecision } from "../../src/testing/database-samples.ts";
import { startCuttingProxy } from "../support/cutting-proxy.ts";
import type { CuttingProxy } from "../support/cutting-proxy.ts";
import { POSTGRES_CLIENTS } from "../support/postgres-clients.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { preparePostgres } from "../support/postgres-under-test.ts";

/** What becomes of transactions whose connection is lost, on a real server behind a proxy that cuts. */
const server = await startPostgresServer();
const proxy = server === undefined ? undefined : await startCuttingProxy(server.port);
afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
});

const A = "INSERT INTO texts (text) VALUES ('a')";

/** A database, the test's own way around the client under test, and a client that goes through the proxy. */
async function world<Open extends { end(): Promise<unknown> }>(open: (url: string) => Promise<Open>) {
  proxy!.commit = "passes";
  const direct = await server!.createDatabase();
  const pool = new Pool({ connectionString: direct });
  // An administrator ends its connections too.
  pool.on("error", () => undefined);
  const truth = nodePostgres(pool);
  const rest = await preparePostgres(truth, async (text, values) => (await pool.query(text, values)).rows);
  const opened = await open(proxy!.url(direct));
  return {
    ...opened,
    ...rest,
    proxy: proxy as CuttingProxy,
    direct,
    decided: async () => (await truth.barrier.find([newDecision(1).transactionId])).size === 1,
    async [Symbol.asyncDispose]() {
      await opened.end();
      await pool.end();
    },
  };
}

for (const [name, open] of Object.entries(POSTGRES_CLIENTS)) {
  describe.skipIf(server === undefined)(`a transaction through ${name}`, () => {
    const work =
      (query: (sql: unknown, text: string) => PromiseLike<unknown>, then?: () => void) =>
      async ({ sql, decide }: UnitOfWork<unknown>): Promise<void> => {
        await query(sql, A);
        await decide(newDecision(1));
        then?.();
      };

    test("whose COMMIT is done and never answered is in doubt, and its work and its decision are there", async () => {
      await using w = await world(open);
      w.proxy.commit = "is not answered";
      const outcome = await w.database.run(work(w.query));
      expect(outcome.status).toBe("unknown");
      expect([await w.texts(), await w.decided()]).toEqual([["a"], true]);
    });

    test("whose COMMIT never arrives is in doubt, and nothing of it is there", async () => {
      await using w = await world(open);
      w.proxy.commit = "never arrives";
      const outcome = await w.database.run(work(w.query));
      expect(outcome.status).toBe("unknown");
      expect([await w.texts(), await w.decided()]).toEqual([[], false]);
    });

    test("whose connection is cut while a statement runs is rolled back", async () => {
      await using w = await world(open);
      const outcome = await w.database.run(async ({ sql }) => {
        await w.query(sql, A);
        const sleep = w.query(sql, "SELECT pg_sleep(30)");
        setTimeout(w.proxy.cut, 50);
        await sleep;
      });
      expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
      expect(await w.texts()).toEqual([]);
    });

    test("is rolled back where the work swallows the loss of the connection, and decides", async () => {
      for (const decides of [false, true]) {
        await using w = await world(open);
        const outcome = await w.database.run(async ({ sql, decide }) => {
          await w.query(sql, A);
          const sleep = Promise.resolve(w.query(sql, "SELECT pg_sleep(30)"));
          setTimeout(w.proxy.cut, 50);
          await sleep.catch(() => undefined);
          if (decides) await decide(newDecision(1));
        });
        expect(outcome.status).toBe("rolledBack");
        expect([await w.texts(), await w.decided()]).toEqual([[], false]);
      }
    });

    test("is rolled back where the connection is lost in a savepoint", async () => {
      for (const swallows of [false, true]) {
        await using w = await world(open);
        const outcome = await w.database.run(async ({ sql, savepoint }) => {
          await w.query(sql, A);
          await savepoint(async (part) => {
            const sleep = Promise.resolve(w.query(part, "SELECT pg_sleep(30)"));
            setTimeout(w.proxy.cut, 50);
            await (swallows ? sleep.catch(() => undefined) : sleep);
          });
        });
        expect(outcome.status).toBe("rolledBack");
        expect(await w.texts()).toEqual([]);
      }
    });

    test("is rolled back where an administrator ends its connection while it waits, and the process lives", async () => {
      await using w = await world(open);
      const outcome = await w.database.run(async ({ sql, decide }) => {
        await w.query(sql, A);
        await server!.terminateBackends(w.direct);
        await Promise.resolve(w.query(sql, "SELECT 1")).catch(() => undefined);
        await decide(newDecision(1));
      });
      expect(outcome.status).toBe("rolledBack");
      expect([await w.texts(), await w.decided()]).toEqual([[], false]);
    });

    test("that the work itself has ended is rolled back, and nothing is decided", async () => {
      await using w = await world(open);
      const outcome = await w.database.run(async ({ sql, decide }) => {
        await w.query(sql, A);
        await w.query(sql, "ROLLBACK");
        await decide(newDecision(1));
      });
      expect(outcome.status).toBe("rolledBack");
      expect([await w.texts(), await w.decided()]).toEqual([[], false]);
    });

    test("of which a query that nobody waited for has failed is rolled back", async () => {
      for (const decides of [false, true]) {
        await using w = await world(open);
        const outcome = await w.database.run(async ({ sql, decide }) => {
          await w.query(sql, A);
          if (decides) await decide(newDecision(1));
          Promise.resolve(w.query(sql, "SELECT * FROM nowhere")).catch(() => undefined);
        });
        expect(outcome.status).toBe("rolledBack");
        expect([await w.texts(), await w.decided()]).toEqual([[], false]);
      }
    });

    test("whose COMMIT a deferred constraint or trigger refuses is rolled back", async () => {
      await using w = await world(open);
      const raise = "CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$";
      const trigger =
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON texts INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION raise()";
      await w.database.run(async ({ sql }) => {
        await w.query(sql, raise);
        await w.query(sql, trigger);
      });
      const outcome = await w.database.run(work(w.query));
      expect(outcome).toMatchObject({ status: "rolledBack", retryable: false, error: { message: "no" } });
      expect([await w.texts(), await w.decided()]).toEqual([[], false]);
    });
  });
}

describe.skipIf(server === undefined)("a server that dies", () => {
  test("has rolled back what was open, whatever the client", async () => {
    const mortal = (await startPostgresServer())!;
    const url = await mortal.createDatabase();
    const opened = await Promise.all(Object.values(POSTGRES_CLIENTS).map((open) => open(url)));
    let count = 0;
    const outcomes = await Promise.all(
      opened.map(({ database, query }) =>
        database.run(async ({ sql }) => {
          await query(sql, "SELECT 1");
          if (++count === opened.length) void mortal.kill();
          await query(sql, "SELECT pg_sleep(30)");
        }),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(opened.map(() => "rolledBack"));
    await Promise.all(opened.map(({ end }) => end()));
    await mortal.stop();
  });
});

describe.skipIf(server === undefined)("a pool of pg", () => {
  const open = async (connectionString: string) => {
    const pool = new Pool({ connectionString });
    return { pool, database: nodePostgres(pool), end: () => pool.end() };
  };

  test("does not get a client back whose COMMIT went wrong, and goes on with another", async () => {
    await using w = await world(open);
    w.proxy.commit = "is not answered";
    await w.database.run(async ({ sql }) => void (await sql.query(A)));
    expect(w.pool.totalCount).toBe(0);
    w.proxy.commit = "passes";
    expect((await w.database.run(async ({ sql }) => sql.query("SELECT 1"))).status).toBe("committed");
    expect([w.pool.totalCount, w.pool.idleCount]).toEqual([1, 1]);
  });

  test("gets a client back whose work failed, without listeners or a transaction left on it", async () => {
    await using w = await world(open);
    for (let i = 0; i < 20; i++) await w.database.run(async ({ sql }) => sql.query("SELECT * FROM nowhere"));
    const client = await w.pool.connect();
    expect([w.pool.totalCount, client.listenerCount("error"), client.getTransactionStatus()]).toEqual([1, 0, "I"]);
    client.release();
  });
});

describe.skipIf(server === undefined)("the handle of postgres", () => {
  const open = async (url: string) => {
    const sql = postgres(url, { max: 1, onnotice: () => undefined });
    return { sql, database: postgresJs(sql), end: () => sql.end({ timeout: 0 }) };
  };

  test("is refused after the connection was lost, and writes nothing outside of its transaction", async () => {
    await using w = await world(open);
    let goOn!: () => void;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    let after: unknown;
    const outcome = await w.database.run(async ({ sql }) => {
      await sql`SELECT 1`;
      w.proxy.cut();
      await gate;
      after = await Promise.resolve()
        .then(() => sql`INSERT INTO texts (text) VALUES ('a')`)
        .catch((error: unknown) => error);
    });
    expect(outcome.status).toBe("rolledBack");
    await w.sql`SELECT 1`;
    goOn();
    await expect.poll(() => after).toBeInstanceOf(Error);
    expect(await w.texts()).toEqual([]);
  });

  test("is refused after its transaction", async () => {
    await using w = await world(open);
    let kept: postgres.TransactionSql | undefined;
    await w.database.run(async ({ sql }) => {
      kept = sql;
    });
    expect(() => kept!`SELECT 1`).toThrow("the transaction over");
    expect(() => kept!.unsafe("SELECT 1")).toThrow("the transaction over");
  });

  test("is refused what would begin or end a transaction, and nothing else", async () => {
    await using w = await world(open);
    const outcome = await w.database.run(async ({ sql }) => {
      for (const end of [
        "ROLLBACK",
        " commit;",
        "END",
        "begin",
        "START TRANSACTION",
        "ABORT",
        "prepare transaction 'x'",
      ])
        expect(() => sql.unsafe(end), end).toThrow("Leave the beginning");
      expect(() => sql`rollback`).toThrow("Leave the beginning");
      expect(() => sql.prepare("x")).toThrow("Leave the beginning");
      await sql`SAVEPOINT mine`;
      await sql`ROLLBACK TO mine`;
      await sql.unsafe("ROLLBACK WORK TO SAVEPOINT mine");
      await sql`SELECT 1 AS "end"`;
    });
    expect(outcome.status).toBe("committed");
  });

  test("is the driver's own in all that it offers", async () => {
    await using w = await world(open);
    const outcome = await w.database.run(async ({ sql }) => {
      await sql`INSERT INTO texts ${sql({ text: "a" })}`;
      await sql.savepoint("part", async (part) => part`INSERT INTO texts ${part([{ text: "b" }, { text: "c" }])}`);
      const rows = await sql.savepoint((part) => [
        part`SELECT 1 AS n`,
        part`SELECT ${part.json({ a: 1 })}::jsonb AS j`,
      ]);
      return [rows[0]![0]!["n"], rows[1]![0]!["j"], (await sql`SELECT ${sql.array(["x", "y"])}::text[] AS l`)[0]!["l"]];
    });
    expect(outcome).toEqual({ status: "committed", value: [1, { a: 1 }, ["x", "y"]] });
    expect(await w.texts()).toEqual(["a", "b", "c"]);
  });
});
