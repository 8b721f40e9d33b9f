/** The contract of a database, for drizzle-orm on bun:sqlite: for `bun test`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { afterAll, test } from "bun:test";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { sqliteTable, text as sqliteText } from "drizzle-orm/sqlite-core";
import { drizzleOrm } from "aftercommit/sql";
import { databaseContract } from "aftercommit/testing";
import { ormUnderTest } from "../../support/orm/shop-tables.ts";
import type { Ask } from "../../support/orm/shop-tables.ts";

const TIMEOUT_MILLIS = 30_000;
const texts = sqliteTable("texts", { text: sqliteText().primaryKey() });

const directory = await mkdtemp(join(tmpdir(), "aftercommit-drizzle-"));
const open = (): Database => {
  const connection = new Database(join(directory, "shop.sqlite"));
  connection.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000");
  return connection;
};
const [first, second] = [open(), open()];
afterAll(async () => {
  first.close();
  second.close();
  await rm(directory, { recursive: true });
});
const ask: Ask = async (text) => second.query(text).all() as Record<string, unknown>[];
const database = (client: Database) => drizzleOrm(drizzle({ client }), { sql, dialect: "sqlite" });

const runner = { test: (name: string, run: () => Promise<void>) => test(name, run, TIMEOUT_MILLIS) };
databaseContract(runner, () =>
  ormUnderTest("sqlite", ask, [database(first), database(second)], async (handle, text) =>
    handle.insert(texts).values({ text }),
  ),
);
