import { once } from "node:events";
import { createConnection, createPool } from "mysql2/promise";
import type { PoolConnection, RowDataPacket } from "mysql2/promise";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { mysql2 } from "../../adapters/sql/index.ts";
import type { Isolation } from "../../src/ports/database.ts";
import { claimRows, newDecision, newIntent, SOURCE } from "../../src/testing/database-samples.ts";
import { AT, sampleId } from "../../src/testing/samples.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { startMysqlProxy } from "../support/mysql-proxy.ts";
import { INSERT_TEXT, openMysql } from "../support/mysql-under-test.ts";

const server = await startMariadbServer();
afterAll(() => server?.stop());

/** The command, and not the name of a level of isolation. */
const COMMIT = "\u0003COMMIT";

/** A database behind a proxy. */
async function openBehindProxy() {
  const tested = await openMysql(server!);
  const proxy = await startMysqlProxy(server!.port);
  const pool = createPool({ ...tested.address, port: proxy.port, connectionLimit: 1 });
  onTestFinished(async () => {
    await pool.end();
    await proxy.stop();
  });
  return { ...tested, proxy, database: mysql2(pool), pool };
}

describe.skipIf(server === undefined)("connections to MariaDB that break", () => {
  test("a COMMIT whose answer was lost is unknown, and stands", async () => {
    const { database, other, proxy, texts } = await openBehindProxy();
    proxy.cutAt(COMMIT, "after");
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await decide(newDecision(1));
    });
    expect(outcome.status).toBe("unknown");
    expect(await texts()).toEqual(["a"]);
    expect((await other.barrier.find([sampleId(1)])).get(sampleId(1))?.state).toBe("decided");
  });

  test("a COMMIT that never arrived is unknown too, and does not stand", async () => {
    const { database, other, proxy, texts } = await openBehindProxy();
    proxy.cutAt(COMMIT, "before");
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await decide(newDecision(1));
    });
    expect(outcome.status).toBe("unknown");
    expect(await texts()).toEqual([]);
    expect((await other.barrier.find([sampleId(1)])).size).toBe(0);
  });

  test("a decision whose answer was lost certainly rolled back", async () => {
    const { database, proxy, texts } = await openBehindProxy();
    proxy.cutAt("INSERT INTO aftercommit_barrier", "after");
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await decide(newDecision(1));
    });
    expect(outcome.status).toBe("rolledBack");
    expect(await texts()).toEqual([]);
  });

  test("rows that are written alone, with the answer lost, are unknown", async () => {
    const { database, other, proxy } = await openBehindProxy();
    proxy.cutAt(COMMIT, "after");
    expect((await database.write({ decision: newDecision(1) })).status).toBe("unknown");
    expect((await other.barrier.find([sampleId(1)])).size).toBe(1);
    // Sent again, it meets its own row.
    expect((await database.write({ decision: newDecision(1) })).status).toBe("unknown");
  });

  test("an operation of the barrier whose answer was lost rejects, and may be sent again", async () => {
    const { database, proxy } = await openBehindProxy();
    proxy.cutAt(COMMIT, "after");
    await expect(database.barrier.intend(newIntent(1))).rejects.toThrow();
    expect(await database.barrier.intend(newIntent(1))).toBe(true);
    proxy.cutAt(COMMIT, "after");
    await expect(database.barrier.rollBack(sampleId(1), AT, 0)).rejects.toThrow();
    expect((await database.barrier.rollBack(sampleId(1), AT + 1, 0))?.decidedAt).toBe(AT);
    proxy.cutAt(COMMIT, "after");
    await expect(claimRows({ database }, { token: "same" })).rejects.toThrow();
    expect((await claimRows({ database }, { token: "same" })).decided).toHaveLength(1);
  });

  test("a connection that was killed before its COMMIT was sent certainly rolled back", async () => {
    const { database, texts } = await openMysql(server!);
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await decide(newDecision(1));
      const ended = once(sql, "end");
      await server!.admin.query(`KILL ${sql.threadId}`);
      await ended;
    });
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
    expect(await texts()).toEqual([]);
  });

  test("a connection that was killed during the work certainly rolled back, and the next one serves", async () => {
    const { database, texts } = await openMysql(server!, { connectionLimit: 1 });
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await server!.admin.query(`KILL ${sql.threadId}`);
      await sql.query(INSERT_TEXT, ["b"]).catch(() => undefined);
      await decide(newDecision(1));
    });
    expect(outcome.status).toBe("rolledBack");
    expect((await database.write({ decision: newDecision(1) })).status).toBe("committed");
    expect(await texts()).toEqual([]);
  });
});

describe.skipIf(server === undefined)("connections to MariaDB that are used again", () => {
  test("a connection goes back to its pool without a transaction, however the last one ended", async () => {
    const { database, other, pool, texts } = await openMysql(server!, { connectionLimit: 1 });
    await other.barrier.intend(newIntent(1));
    await other.barrier.rollBack(sampleId(1), AT, 0);
    const ends = [
      () => database.run(async () => "done"),
      () => database.run(() => Promise.reject(new Error("no"))),
      () => database.run(({ decide }) => decide(newDecision(1))),
      () => database.run(async ({ sql }) => void (await sql.query(INSERT_TEXT, ["x".repeat(300)]))),
      () => database.barrier.find([sampleId(1)]),
      () => database.write({ decision: newDecision(1) }),
    ];
    for (const end of ends) {
      await end();
      const [[row]] = (await pool.query("SELECT @@in_transaction AS open")) as [[RowDataPacket], unknown];
      expect(row.open).toBe(0);
    }
    expect(await texts()).toEqual([]);
  });

  test("a connection whose COMMIT failed is not used again", async () => {
    const { database, pool, proxy } = await openBehindProxy();
    const [[before]] = (await pool.query("SELECT CONNECTION_ID() AS id")) as [[RowDataPacket], unknown];
    proxy.cutAt(COMMIT, "after");
    await database.run(({ decide }) => decide(newDecision(1)));
    const [[after]] = (await pool.query("SELECT CONNECTION_ID() AS id")) as [[RowDataPacket], unknown];
    expect(after.id).not.toBe(before.id);
  });

  test("a level of isolation holds for the transaction that asked for it alone", async () => {
    const { database, pool, connection } = await openMysql(server!, { connectionLimit: 1 });
    let inserted = 0;
    const seesOthers = async (sql: PoolConnection) => {
      const count = async () => (await sql.query<RowDataPacket[]>("SELECT text FROM texts"))[0].length;
      const before = await count();
      await connection.query(INSERT_TEXT, [`text ${++inserted}`]);
      return (await count()) > before;
    };
    const run = async (isolation?: Isolation) => {
      const outcome = await database.run(({ sql }) => seesOthers(sql), isolation === undefined ? {} : { isolation });
      return outcome.status === "committed" && outcome.value;
    };
    expect([await run("read committed"), await run("repeatable read"), await run()]).toEqual([true, false, false]);
    await database.barrier.find([sampleId(1)]);
    const own = await pool.getConnection();
    await own.beginTransaction();
    expect(await seesOthers(own)).toBe(false);
    await own.rollback();
    own.release();
  });

  test("the user's own transaction on a single connection is not committed by an operation of ours", async () => {
    const { address, texts } = await openMysql(server!);
    const connection = await createConnection({ ...address });
    onTestFinished(() => connection.destroy());
    await connection.beginTransaction();
    await connection.query(INSERT_TEXT, ["a"]);
    await expect(mysql2(connection).barrier.find([sampleId(1)])).rejects.toThrow("transaction is in progress");
    await connection.rollback();
    expect(await texts()).toEqual([]);
  });

  test("a connection without autocommit is refused, and left as it was found", async () => {
    const { database, pool, texts } = await openMysql(server!, { connectionLimit: 1 });
    pool.on("connection", (connection) => void connection.query("SET autocommit = 0"));
    const outcome = await database.run(async ({ sql, decide }) => {
      await sql.query(INSERT_TEXT, ["a"]);
      await decide(newDecision(1));
    });
    expect(outcome).toMatchObject({ status: "rolledBack", error: { message: expect.stringContaining("autocommit") } });
    expect(await texts()).toEqual([]);
  });

  test("a listing and its counts need no prepared statements on the server", async () => {
    const { database, connection } = await openMysql(server!);
    await database.write({ decision: newDecision(1) });
    await database.reader.listUnsettled(SOURCE);
    await database.reader.counts(SOURCE);
    const [[row]] = (await connection.query("SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'")) as [
      [RowDataPacket],
      unknown,
    ];
    expect(Number(row.Value)).toBe(0);
  });
});
