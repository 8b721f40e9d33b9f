import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createClient } from "@libsql/client";
import Sqlite from "better-sqlite3";
import { sql } from "drizzle-orm";
import { drizzle as drizzleBetterSqlite } from "drizzle-orm/better-sqlite3";
import { drizzle as drizzleLibsql } from "drizzle-orm/libsql";
import { drizzle as drizzleMysql2 } from "drizzle-orm/mysql2";
import { Kysely, MysqlDialect, sql as kyselySql, SqliteDialect } from "kysely";
import { createPool } from "mysql2";
import { createPool as createPromisePool } from "mysql2/promise";
import type { PoolConnection } from "mysql2/promise";
import { afterAll, describe, expect, test } from "vitest";
import { betterSqlite3, drizzleOrm, kysely, libsql, mysql2, nodeSqlite } from "../../adapters/sql/index.ts";
import type { SqlDatabase } from "../../adapters/sql/index.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";

// Some errors end a transaction by themselves. Work that swallows one goes on outside of any transaction: what it does
// from then on stands, what it did before does not, and a decision would stand too.

const ID = "019f3b2c-0001-7abc-8def-0123456789ab";
const DECISION = { transactionId: ID, source: "https://shop.example.com", records: [], at: 0, dueMillis: 0 };

/** A database, and how a text is put into the transaction that is open on it. */
interface Tested<Sql> {
  readonly database: Pick<SqlDatabase<Sql, never>, "createTables" | "run" | "barrier">;
  run(sql: Sql, text: string): PromiseLike<unknown>;
}

const directory = mkdtempSync(join(tmpdir(), "aftercommit-ended-"));
const file = (name: string): string => join(directory, `${name}.sqlite`);
const mariadb = await startMariadbServer();
afterAll(async () => {
  await mariadb?.stop();
  rmSync(directory, { recursive: true });
});

describe("a SQLite that rolls a whole transaction back for one statement", () => {
  const rollsBack = <Sql>(name: string, open: () => Tested<Sql>): void => {
    for (const decides of [true, false]) {
      test(`${name}: swallowed, it is a certain rollback, ${decides ? "and nothing is decided" : "where a message is consumed"}`, async () => {
        const { database, run } = open();
        await database.createTables();
        const outcome = await database.run!(async (unit) => {
          if (!decides) {
            const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
            await unit.consume({ claim, retentionMillis: 1_000 });
          }
          await run(unit.sql, "CREATE TABLE texts (text TEXT PRIMARY KEY)");
          await run(unit.sql, "INSERT INTO texts VALUES ('a')");
          await Promise.resolve()
            .then(() => run(unit.sql, "INSERT OR ROLLBACK INTO texts VALUES ('a')"))
            .catch(() => undefined);
          if (decides) await unit.decide(DECISION).catch(() => undefined);
        });
        expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
        expect((await database.barrier.find([ID])).size).toBe(0);
      });
    }
  };

  rollsBack("node:sqlite", () => {
    return { database: nodeSqlite(new DatabaseSync(":memory:")), run: async (db, text) => db.exec(text) };
  });
  rollsBack("better-sqlite3", () => {
    return { database: betterSqlite3(new Sqlite(":memory:")), run: async (db, text) => db.exec(text) };
  });
  rollsBack("libSQL", () => {
    const client = createClient({ url: `file:${file(`libsql-${crypto.randomUUID()}`)}` });
    return { database: libsql(client), run: (tx, text) => tx.execute(text) };
  });
  rollsBack("Drizzle on better-sqlite3", () => {
    const db = drizzleBetterSqlite({ client: new Sqlite(":memory:") });
    return { database: drizzleOrm(db, { sql, dialect: "sqlite" }), run: async (handle, text) => handle.run(text) };
  });
  rollsBack("Drizzle on libSQL", () => {
    const client = createClient({ url: `file:${file(`drizzle-${crypto.randomUUID()}`)}` });
    const database = drizzleOrm(drizzleLibsql({ client }), { sql, dialect: "sqlite" });
    return { database, run: (tx, text) => tx.run(text) };
  });
  rollsBack("Kysely", () => {
    const db = new Kysely<object>({ dialect: new SqliteDialect({ database: new Sqlite(":memory:") }) });
    const database = kysely(db, { dialect: "sqlite" });
    return { database, run: (tx, text) => kyselySql.raw(text).execute(tx) };
  });
});

describe.skipIf(mariadb === undefined)("a MariaDB that rolls a whole transaction back for a deadlock", async () => {
  const address = await mariadb?.createDatabase();
  const pool = createPromisePool({ ...address });
  const callbacks = createPool({ ...address });
  afterAll(async () => {
    await pool.end();
    await new Promise((resolve) => callbacks.end(resolve));
  });

  /** Each locks one of two rows, then wants the other's; who is chosen hears of the deadlock, and looks away. */
  const deadlocks = <Sql>(name: string, { database, run }: Tested<Sql>): void => {
    test(`${name}: swallowed, it is a certain rollback, and nothing is decided`, async () => {
      await database.createTables();
      await pool.query("DELETE FROM aftercommit_barrier");
      await pool.query("CREATE TABLE IF NOT EXISTS stock (id INT PRIMARY KEY, count INT NOT NULL)");
      await pool.query("REPLACE INTO stock VALUES (1, 0), (2, 0)");
      const ids = [ID, `${ID.slice(0, -1)}c`];
      const locked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let refused = 0;
      const outcomes = await Promise.all(
        ids.map((transactionId, n) =>
          database.run!(async (unit) => {
            await run(unit.sql, `UPDATE stock SET count = count + 1 WHERE id = ${n + 1}`);
            locked[n]!.resolve();
            await locked[1 - n]!.promise;
            await Promise.resolve(run(unit.sql, `UPDATE stock SET count = count + 1 WHERE id = ${2 - n}`)).catch(() => {
              refused++;
            });
            await unit.decide({ ...DECISION, transactionId });
          }),
        ),
      );
      expect(refused).toBe(1);
      expect(outcomes.map(({ status }) => status).sort()).toEqual(["committed", "rolledBack"]);
      const committed = ids.filter((_, n) => outcomes[n]!.status === "committed");
      expect([...(await database.barrier.find(ids)).keys()]).toEqual(committed);
    });
  };

  deadlocks<PoolConnection>("mysql2", { database: mysql2(pool), run: (connection, text) => connection.query(text) });
  deadlocks("Drizzle", {
    database: drizzleOrm(drizzleMysql2({ client: pool }), { sql, dialect: "mysql" }),
    run: (tx, text) => tx.execute(text),
  });
  deadlocks("Kysely", {
    database: kysely(new Kysely<object>({ dialect: new MysqlDialect({ pool: callbacks }) }), { dialect: "mysql" }),
    run: (tx, text) => kyselySql.raw(text).execute(tx),
  });
});
