import { createPool } from "mysql2/promise";
import type { Pool } from "mysql2/promise";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { mysql2 } from "../../adapters/sql/index.ts";
import { DatabaseNotReadyError } from "../../src/errors.ts";
import { newDecision } from "../../src/testing/database-samples.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import type { MariadbAddress } from "../support/mariadb-server.ts";
import { INSERT_TEXT, openMysql } from "../support/mysql-under-test.ts";

const server = await startMariadbServer();
afterAll(() => server?.stop());

let users = 0;

/** A pool of a user that may do nothing yet. */
async function openAsUser(address: MariadbAddress): Promise<{ readonly user: string; readonly pool: Pool }> {
  const user = `app${++users}`;
  await server!.admin.query(`CREATE USER ${user}@'%'`);
  await server!.admin.query(`GRANT SELECT, INSERT ON ${address.database}.texts TO ${user}@'%'`);
  const pool = createPool({ ...address, user });
  onTestFinished(() => pool.end());
  return { user, pool };
}

/** The SQL in an error that says that a database is not ready. */
async function sqlOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!DatabaseNotReadyError.is(error))
    throw new Error(`expected that the database is not ready, found ${String(error)}`);
  return error.sql ?? "";
}

function statementsOf(sql: string): readonly string[] {
  return sql.split(/;\s*/).filter((text) => text !== "");
}

describe.skipIf(server === undefined)("a MariaDB that is not ready", () => {
  test("missing tables are told with the SQL that makes them", async () => {
    const address = await server!.createDatabase();
    const pool = createPool({ ...address });
    onTestFinished(() => pool.end());
    const database = mysql2(pool);
    const sql = await sqlOf(database.verify());
    const outcome = await database.run(({ decide }) => decide(newDecision(1)));
    expect(outcome).toMatchObject({ status: "rolledBack", error: { code: "ERR_DATABASE_NOT_READY", sql } });
    for (const statement of statementsOf(sql)) await pool.query(statement);
    await database.verify();
    for (const statement of statementsOf(sql)) await pool.query(statement);
  });

  test("a missing table of the user's own is not taken for one of ours", async () => {
    const { database } = await openMysql(server!);
    const outcome = await database.run(({ sql }) => sql.query("SELECT * FROM nowhere"));
    expect(outcome).toMatchObject({ status: "rolledBack", error: { code: "ER_NO_SUCH_TABLE" } });
  });

  test.each(["", "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"])(
    'a user who may only "%s" is told the grants that are missing, and they mend it',
    async (some) => {
      const { address, connection } = await openMysql(server!);
      const { user, pool } = await openAsUser(address);
      const database = mysql2(pool);
      if (some !== "") {
        for (const table of ["aftercommit_barrier", "aftercommit_inbox"]) {
          await connection.query(`GRANT ${some} ON ${table} TO ${user}@'%'`);
        }
      }
      const sql = await sqlOf(database.verify());
      for (const statement of statementsOf(sql)) {
        await connection.query(statement.replace("your_application", `${user}@'%'`));
      }
      await database.verify();
      expect((await database.write({ decision: newDecision(1) })).status).toBe("committed");
    },
  );

  test("a missing column is told as a table that is another one", async () => {
    const { database, connection } = await openMysql(server!);
    await connection.query("ALTER TABLE aftercommit_barrier DROP COLUMN claim");
    expect(await sqlOf(database.verify())).toContain("CREATE TABLE");
  });

  test("a server that takes no writes is told, before it is needed and when it is", async () => {
    const { address, connection } = await openMysql(server!);
    const { user, pool } = await openAsUser(address);
    for (const table of ["aftercommit_barrier", "aftercommit_inbox"]) {
      await connection.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${user}@'%'`);
    }
    const database = mysql2(pool);
    await database.verify();
    await server!.admin.query("SET GLOBAL read_only = 1");
    onTestFinished(async () => void (await server!.admin.query("SET GLOBAL read_only = 0")));
    expect(await sqlOf(database.verify())).toBe("");
    for (const work of ["decide", "insert"]) {
      const outcome = await database.run(async ({ sql, decide }) => {
        if (work === "insert") await sql.query(INSERT_TEXT, ["a"]);
        await decide(newDecision(1));
      });
      expect(outcome).toMatchObject({ status: "rolledBack", error: { code: "ERR_DATABASE_NOT_READY" } });
    }
  });

  test("a server that stopped taking writes while a transaction was open certainly rolled it back", async () => {
    const { address, connection } = await openMysql(server!);
    const { user, pool } = await openAsUser(address);
    await connection.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON aftercommit_barrier TO ${user}@'%'`);
    onTestFinished(async () => void (await server!.admin.query("SET GLOBAL read_only = 0")));
    const outcome = await mysql2(pool).run(async ({ decide }) => {
      await decide(newDecision(1));
      await server!.admin.query("SET GLOBAL read_only = 1");
    });
    await server!.admin.query("SET GLOBAL read_only = 0");
    const [rows] = await connection.query("SELECT COUNT(*) AS count FROM aftercommit_barrier");
    expect([outcome.status, rows]).toEqual(["rolledBack", [{ count: 0 }]]);
  });
});
