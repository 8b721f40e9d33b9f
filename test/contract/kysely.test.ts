import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { CamelCasePlugin, Kysely, MysqlDialect, ParseJSONResultsPlugin, PostgresDialect, SqliteDialect } from "kysely";
import type { KyselyPlugin, Transaction } from "kysely";
import { createPool } from "mysql2";
import { createPool as createPromisePool } from "mysql2/promise";
import { afterAll, describe, test } from "vitest";
import { kysely } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { lossyPool, poolOf } from "../support/orm/postgres-pool.ts";
import { askSqlite, ormUnderTest } from "../support/orm/shop-tables.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { losesCommits } from "../support/orm/lost-commits.ts";
import { startPostgresServer } from "../support/postgres-server.ts";

/** The user's tables. */
interface Tables {
  readonly texts: { readonly text: string };
}

const PLUGINS: readonly (readonly [string, KyselyPlugin[]])[] = [
  ["", []],
  [
    ", with plugins that rename columns and parse what looks like JSON",
    [new CamelCasePlugin(), new ParseJSONResultsPlugin()],
  ],
];
const insert = (tx: Transaction<Tables>, text: string) => tx.insertInto("texts").values({ text }).execute();

const directory = await mkdtemp(join(tmpdir(), "aftercommit-kysely-"));
const server = await startPostgresServer();
const mariadb = await startMariadbServer();
afterAll(async () => {
  await server?.stop();
  await mariadb?.stop();
  await rm(directory, { recursive: true });
});

for (const [n, [name, plugins]] of PLUGINS.entries()) {
  describe(`Kysely on SQLite, through better-sqlite3${name}`, () => {
    // One connection: another in this process would wait for a transaction of the first with the whole process stopped.
    const connection = new Sqlite(join(directory, `shop-${n}.sqlite`));
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: connection }), plugins });
    afterAll(() => db.destroy());
    const database = kysely(db, { dialect: "sqlite" });

    databaseContract({ test }, () => ormUnderTest("sqlite", askSqlite(connection), [database, database], insert));
  });

  describe.skipIf(server === undefined)(`Kysely on PostgreSQL${name}`, async () => {
    const connectionString = (await server?.createDatabase()) ?? "";
    const pool = poolOf(connectionString);
    const [db, otherDb] = [1, 2].map(
      () => new Kysely<Tables>({ dialect: new PostgresDialect({ pool: poolOf(connectionString) }), plugins }),
    ) as [Kysely<Tables>, Kysely<Tables>];
    afterAll(() => Promise.all([pool.end(), db.destroy(), otherDb.destroy()]));

    databaseContract({ test }, () =>
      ormUnderTest(
        "postgresql",
        async (text) => (await pool.query(text)).rows,
        [kysely(db, { dialect: "postgresql" }), kysely(otherDb, { dialect: "postgresql" })],
        insert,
        { concurrent: true },
      ),
    );
  });

  describe.skipIf(mariadb === undefined)(`Kysely on MariaDB${name}`, async () => {
    const address = await mariadb?.createDatabase();
    const pool = createPromisePool({ ...address });
    const [db, otherDb] = [1, 2].map(
      () => new Kysely<Tables>({ dialect: new MysqlDialect({ pool: createPool({ ...address }) }), plugins }),
    ) as [Kysely<Tables>, Kysely<Tables>];
    afterAll(() => Promise.all([pool.end(), db.destroy(), otherDb.destroy()]));

    databaseContract({ test }, () =>
      ormUnderTest(
        "mysql",
        async (text) => (await pool.query(text))[0] as Record<string, unknown>[],
        [kysely(db, { dialect: "mysql" }), kysely(otherDb, { dialect: "mysql" })],
        insert,
        { concurrent: true },
      ),
    );
  });
}

describe.skipIf(server === undefined)("Kysely on a PostgreSQL that is lost at COMMIT", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const { pool, lose } = lossyPool(connectionString);
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  afterAll(() => db.destroy());

  losesCommits({ test }, { database: kysely(db, { dialect: "postgresql" }), connectionString, lose, insert });
});
