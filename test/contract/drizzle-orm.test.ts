import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createClient } from "@libsql/client";
import { neon, neonConfig } from "@neondatabase/serverless";
import Sqlite from "better-sqlite3";
import { sql } from "drizzle-orm";
import { drizzle as drizzleBetterSqlite } from "drizzle-orm/better-sqlite3";
import { drizzle as drizzleOverD1 } from "drizzle-orm/d1";
import { drizzle as drizzleLibsql } from "drizzle-orm/libsql";
import type { BatchItem } from "drizzle-orm/batch";
import { mysqlTable, varchar } from "drizzle-orm/mysql-core";
import { drizzle as drizzleMysql2 } from "drizzle-orm/mysql2";
import { drizzle as drizzleNeonHttp } from "drizzle-orm/neon-http";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { pgTable, text as pgText } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import { sqliteTable, text as sqliteText } from "drizzle-orm/sqlite-core";
import { createPool } from "mysql2/promise";
import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import { drizzleBatch, drizzleOrm } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { startMariadbServer } from "../support/mariadb-server.ts";
import { startMiniflareD1 } from "../support/miniflare-d1.ts";
import { neonFetch } from "../support/neon-endpoint.ts";
import { losesCommits } from "../support/orm/lost-commits.ts";
import { lossyPool, poolOf } from "../support/orm/postgres-pool.ts";
import { askSqlite, freshTables, ormUnderTest, seenBy } from "../support/orm/shop-tables.ts";
import type { Ask } from "../support/orm/shop-tables.ts";
import { startPostgresServer } from "../support/postgres-server.ts";

const pgTexts = pgTable("texts", { text: pgText().primaryKey() });
const mysqlTexts = mysqlTable("texts", { text: varchar({ length: 255 }).primaryKey() });
const sqliteTexts = sqliteTable("texts", { text: sqliteText().primaryKey() });

const directory = await mkdtemp(join(tmpdir(), "aftercommit-drizzle-"));
const server = await startPostgresServer();
const mariadb = await startMariadbServer();
const d1 = await startMiniflareD1();
afterAll(async () => {
  await Promise.all([server?.stop(), mariadb?.stop(), d1.stop()]);
  await rm(directory, { recursive: true });
});

describe.skipIf(server === undefined)("drizzle-orm on PostgreSQL, through node-postgres", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const pools = [poolOf(connectionString), poolOf(connectionString)] as const;
  afterAll(() => Promise.all(pools.map((pool) => pool.end())));
  const [db, otherDb] = [drizzleNodePostgres({ client: pools[0] }), drizzleNodePostgres({ client: pools[1] })];

  databaseContract({ test }, () =>
    ormUnderTest(
      "postgresql",
      async (text) => (await pools[1].query(text)).rows,
      [drizzleOrm(db, { sql, dialect: "postgresql" }), drizzleOrm(otherDb, { sql, dialect: "postgresql" })],
      (tx, text) => tx.insert(pgTexts).values({ text }),
      { concurrent: true },
    ),
  );
});

describe.skipIf(server === undefined)("drizzle-orm on PostgreSQL, through postgres.js", async () => {
  const url = (await server?.createDatabase()) ?? "";
  const clients = [postgres(url, { onnotice: () => undefined }), postgres(url, { onnotice: () => undefined })] as const;
  afterAll(() => Promise.all(clients.map((client) => client.end())));
  const [db, otherDb] = [drizzlePostgresJs({ client: clients[0] }), drizzlePostgresJs({ client: clients[1] })];

  databaseContract({ test }, () =>
    ormUnderTest(
      "postgresql",
      (text) => clients[1].unsafe(text),
      [drizzleOrm(db, { sql, dialect: "postgresql" }), drizzleOrm(otherDb, { sql, dialect: "postgresql" })],
      (tx, text) => tx.insert(pgTexts).values({ text }),
      { concurrent: true },
    ),
  );
});

describe("drizzle-orm on PostgreSQL, through PGlite", () => {
  const client = new PGlite();
  afterAll(() => client.close());
  const database = drizzleOrm(drizzlePglite({ client }), { sql, dialect: "postgresql" });

  databaseContract({ test }, () =>
    ormUnderTest(
      "postgresql",
      async (text) => (await client.query<Record<string, unknown>>(text)).rows,
      [database, database],
      (tx, text) => tx.insert(pgTexts).values({ text }),
    ),
  );
});

describe("drizzle-orm on SQLite, through better-sqlite3", () => {
  const connections = [1, 2].map(() => new Sqlite(join(directory, "better.sqlite"))) as [
    Sqlite.Database,
    Sqlite.Database,
  ];
  for (const connection of connections) {
    connection.pragma("journal_mode = WAL");
    connection.pragma("busy_timeout = 2000");
  }
  afterAll(() => connections.forEach((connection) => connection.close()));
  const [db, otherDb] = connections.map((client) => drizzleBetterSqlite({ client })) as [
    ReturnType<typeof drizzleBetterSqlite>,
    ReturnType<typeof drizzleBetterSqlite>,
  ];

  databaseContract({ test }, () =>
    ormUnderTest(
      "sqlite",
      askSqlite(connections[1]),
      [drizzleOrm(db, { sql, dialect: "sqlite" }), drizzleOrm(otherDb, { sql, dialect: "sqlite" })],
      async (handle, text) => handle.insert(sqliteTexts).values({ text }),
    ),
  );
});

describe("drizzle-orm on SQLite, through libSQL", () => {
  // One client: a connection of libSQL that met another's lock on the same file does not recover from it.
  const client = createClient({ url: `file:${join(directory, "libsql.sqlite")}` });
  afterAll(() => client.close());
  const database = drizzleOrm(drizzleLibsql({ client }), { sql, dialect: "sqlite" });

  databaseContract({ test }, () =>
    ormUnderTest(
      "sqlite",
      async (text) => (await client.execute(text)).rows,
      [database, database],
      (tx, text) => tx.insert(sqliteTexts).values({ text }),
    ),
  );
});

describe("drizzle-orm on D1, in batches", () => {
  databaseContract<never, BatchItem<"sqlite">>({ test }, async () => {
    const client = await d1.createBinding();
    const ask: Ask = async (text) => {
      const statement = client.prepare(text.replace(/\s+/g, " "));
      return (await statement.all()).results;
    };
    await freshTables("sqlite", ask);
    const db = drizzleOverD1(client);
    const database = drizzleBatch(db, { dialect: "sqlite" });
    const insertStatement = (text: string) => db.insert(sqliteTexts).values({ text });
    return { database, other: database, insertStatement, ...seenBy(ask), dispose: () => Promise.resolve() };
  });
});

describe.skipIf(server === undefined)("drizzle-orm on Neon over HTTP, in batches", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const pool = poolOf(connectionString);
  afterAll(() => pool.end());
  neonConfig.fetchFunction = neonFetch;
  const db = drizzleNeonHttp({ client: neon(connectionString) });
  const database = drizzleBatch(db, { dialect: "postgresql" });
  const insertStatement = (text: string) => db.insert(pgTexts).values({ text });
  const ask: Ask = async (text) => (await pool.query(text)).rows;

  databaseContract<never, BatchItem<"pg">>({ test }, async () => {
    await freshTables("postgresql", ask);
    const dispose = () => Promise.resolve();
    return { database, other: database, concurrent: true, insertStatement, ...seenBy(ask), dispose };
  });
});

describe.skipIf(mariadb === undefined)("drizzle-orm on MariaDB, through mysql2", async () => {
  const address = await mariadb?.createDatabase();
  const pools = [createPool({ ...address }), createPool({ ...address })] as const;
  afterAll(() => Promise.all(pools.map((pool) => pool.end())));
  const [db, otherDb] = [drizzleMysql2({ client: pools[0] }), drizzleMysql2({ client: pools[1] })];

  databaseContract({ test }, () =>
    ormUnderTest(
      "mysql",
      async (text) => (await pools[1].query(text))[0] as Record<string, unknown>[],
      [drizzleOrm(db, { sql, dialect: "mysql" }), drizzleOrm(otherDb, { sql, dialect: "mysql" })],
      (tx, text) => tx.insert(mysqlTexts).values({ text }),
      { concurrent: true },
    ),
  );
});

describe.skipIf(server === undefined)("drizzle-orm on a PostgreSQL that is lost at COMMIT", async () => {
  const connectionString = (await server?.createDatabase()) ?? "";
  const { pool, lose } = lossyPool(connectionString);
  afterAll(() => pool.end());
  const database = drizzleOrm(drizzleNodePostgres({ client: pool }), { sql, dialect: "postgresql" });

  losesCommits(
    { test },
    { database, connectionString, lose, insert: (tx, text) => tx.insert(pgTexts).values({ text }) },
  );
});

describe.skipIf(server === undefined)("drizzle-orm on postgres.js whose connection is lost", async () => {
  const url = (await server?.createDatabase()) ?? "";
  const client = postgres(url, { onnotice: () => undefined, max: 1 });
  const pool = poolOf(url);
  afterAll(() => Promise.all([client.end(), pool.end()]));
  const database = drizzleOrm(drizzlePostgresJs({ client }), { sql, dialect: "postgresql" });
  const ask: Ask = async (text) => (await pool.query(text)).rows;
  const id = "019f3b2c-0001-7abc-8def-0123456789ab";

  test("nothing of a transaction runs on the connection that takes the place of its own", async () => {
    await freshTables("postgresql", ask);
    const refusals = Promise.withResolvers<readonly unknown[]>();
    const outcome = await database.run(async (unit) => {
      await unit.sql.insert(pgTexts).values({ text: "a" });
      await server!.terminateBackends(url);
      // The client's one connection is another one from here on.
      await client`SELECT 1`;
      const decision = { transactionId: id, source: "shop", records: [], at: 0, dueMillis: 0 };
      const goesOn = [unit.sql.insert(pgTexts).values({ text: "b" }), unit.decide(decision)];
      refusals.resolve(await Promise.all(goesOn.map((going) => going.catch((error: unknown) => error))));
    });
    expect(outcome.status).toBe("rolledBack");
    for (const refusal of await refusals.promise) expect(refusal).toBeInstanceOf(Error);
    expect((await database.barrier.find([id])).size).toBe(0);
    expect(await seenBy(ask).texts()).toEqual([]);
  });
});
