import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PGlite } from "@electric-sql/pglite";
import { createClient } from "@libsql/client";
import type { Transaction as LibsqlTransaction } from "@libsql/client";
import { createPool } from "mysql2/promise";
import type { PoolConnection } from "mysql2/promise";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import { afterAll, describe } from "vitest";
import { d1, libsql, mysql2, nodePostgres, nodeSqlite, pglite } from "../../../adapters/sql/index.ts";
import { startMariadbServer } from "../../support/mariadb-server.ts";
import { startMiniflareD1 } from "../../support/miniflare-d1.ts";
import { INSERT_TEXT as MYSQL_INSERT, prepareMysql } from "../../support/mysql-under-test.ts";
import { startPostgresServer } from "../../support/postgres-server.ts";
import { INSERT_TEXT, preparePostgres } from "../../support/postgres-under-test.ts";
import { participantSuite } from "./suite.ts";

const CREATE_TEXTS = "CREATE TABLE texts (text TEXT PRIMARY KEY)";

const [postgres, mariadb, miniflare] = await Promise.all([
  startPostgresServer(),
  startMariadbServer(),
  startMiniflareD1(),
]);
afterAll(() => Promise.all([postgres?.stop(), mariadb?.stop(), miniflare.stop()]));

describe("a participant on node:sqlite", () => {
  participantSuite(async () => {
    const directory = await mkdtemp(join(tmpdir(), "aftercommit-participant-"));
    const connection = new DatabaseSync(join(directory, "stock.sqlite"));
    connection.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    const database = nodeSqlite(connection);
    await database.createTables();
    connection.exec(CREATE_TEXTS);
    return {
      database,
      insert: async (sql, text) => {
        (sql as DatabaseSync).prepare("INSERT INTO texts (text) VALUES (?)").run(text);
      },
      texts: async () =>
        connection
          .prepare("SELECT text FROM texts")
          .all()
          .map(({ text }) => String(text)),
      dispose: async () => {
        connection.close();
        await rm(directory, { recursive: true });
      },
    };
  });
});

describe.skipIf(postgres === undefined)("a participant on PostgreSQL", () => {
  participantSuite(async () => {
    const pool = new Pool({ connectionString: await postgres!.createDatabase() });
    const database = nodePostgres(pool);
    const { texts } = await preparePostgres(database, async (text, values) => (await pool.query(text, values)).rows);
    return {
      database,
      texts,
      insert: async (sql, text) => void (await (sql as PoolClient).query(INSERT_TEXT, [text])),
      dispose: () => pool.end(),
    };
  });
});

describe("a participant on PGlite", () => {
  const client = new PGlite();
  const database = pglite(client);
  // One for all, as it is slow to start; every branch is new.
  const prepared = preparePostgres(
    database,
    async (text, values) => (await client.query<Record<string, unknown>>(text, values)).rows,
  );
  afterAll(() => client.close());
  participantSuite(async () => ({
    database,
    rounds: 4,
    texts: (await prepared).texts,
    insert: async (sql, text) => void (await (sql as PGlite).query(INSERT_TEXT, [text])),
  }));
});

describe.skipIf(mariadb === undefined)("a participant on MariaDB", () => {
  participantSuite(async () => {
    const address = await mariadb!.createDatabase();
    const pool = createPool({ ...address });
    const database = mysql2(pool);
    const { connection, texts } = await prepareMysql(address, database);
    return {
      database,
      texts,
      insert: async (sql, text) => void (await (sql as PoolConnection).execute(MYSQL_INSERT, [text])),
      dispose: async () => {
        connection.destroy();
        await pool.end();
      },
    };
  });
});

describe("a participant on libSQL", () => {
  participantSuite(async () => {
    const directory = await mkdtemp(join(tmpdir(), "aftercommit-participant-"));
    const client = createClient({ url: `file:${join(directory, "stock.sqlite")}`, timeout: 5_000 });
    await client.executeMultiple("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    const database = libsql(client);
    await database.createTables();
    await client.execute(CREATE_TEXTS);
    return {
      database,
      rounds: 4,
      insert: async (sql, text) =>
        void (await (sql as LibsqlTransaction).execute({ sql: "INSERT INTO texts (text) VALUES (?)", args: [text] })),
      texts: async () => (await client.execute("SELECT text FROM texts")).rows.map(({ text }) => text as string),
      dispose: async () => {
        client.close();
        await rm(directory, { recursive: true });
      },
    };
  });
});

describe("a participant on D1", () => {
  participantSuite(async () => {
    const client = miniflare.createDatabase();
    const database = d1(client);
    const ask = async (text: string) => (await client.batch([client.prepare(text).bind()]))[0]!.results;
    await database.createTables();
    await ask(CREATE_TEXTS);
    return {
      database,
      rounds: 4,
      insertStatement: (text) => client.prepare("INSERT INTO texts (text) VALUES (?)").bind(text),
      texts: async () => (await ask("SELECT text FROM texts")).map(({ text }) => String(text)),
    };
  });
});
