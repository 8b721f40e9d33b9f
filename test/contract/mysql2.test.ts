import { createConnection, createPool } from "mysql2/promise";
import type { Connection, PoolConnection, PoolOptions } from "mysql2/promise";
import { afterAll, describe, test } from "vitest";
import { mysql2 } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { INSERT_TEXT, prepareMysql } from "../support/mysql-under-test.ts";

const server = await startMariadbServer();
afterAll(() => server?.stop());

/** What people set on their pools and in their sessions. */
const VARIANTS: Readonly<Record<string, { readonly options?: PoolOptions; readonly session?: string }>> = {
  "a pool of mysql2": {},
  "a pool of mysql2 that is set up otherwise in every way": {
    options: {
      charset: "latin1",
      rowsAsArray: true,
      nestTables: "_",
      namedPlaceholders: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      decimalNumbers: true,
      dateStrings: true,
      typeCast: (field) => field.string()?.toUpperCase(),
      queryFormat: (text) => text.replaceAll(/:[a-z]+/g, "NULL"),
      flags: ["-FOUND_ROWS"],
    },
    session: "SET SESSION sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH', time_zone = '+05:30'",
  },
};

for (const [name, { options, session }] of Object.entries(VARIANTS)) {
  describe.skipIf(server === undefined)(name, () => {
    databaseContract<PoolConnection, never>({ test }, async () => {
      const address = await server!.createDatabase();
      const pools = [1, 2].map(() => createPool({ ...address, ...options }));
      const [first, second] = pools as [(typeof pools)[0], (typeof pools)[0]];
      for (const pool of pools) pool.on("connection", (connection) => session && void connection.query(session));
      const database = mysql2(first);
      const { connection, ...tested } = await prepareMysql(address, database);
      return {
        ...tested,
        database,
        other: mysql2(second),
        concurrent: true,
        // Not query(): it would format the statement as the pool is told to.
        insert: async (sql, text) => void (await sql.execute(INSERT_TEXT, [text])),
        dispose: async () => {
          connection.destroy();
          for (const pool of pools) await pool.end();
        },
      };
    });
  });
}

describe.skipIf(server === undefined)("a single connection of mysql2", () => {
  databaseContract<Connection, never>({ test }, async () => {
    const address = await server!.createDatabase();
    const [first, second] = [await createConnection({ ...address }), await createConnection({ ...address })];
    const database = mysql2(first);
    const { connection, ...tested } = await prepareMysql(address, database);
    return {
      ...tested,
      database,
      other: mysql2(second),
      insert: async (sql, text) => void (await sql.query(INSERT_TEXT, [text])),
      dispose: async () => {
        for (const each of [first, second, connection]) each.destroy();
      },
    };
  });
});
