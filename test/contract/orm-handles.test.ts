import { createClient } from "@libsql/client";
import Sqlite from "better-sqlite3";
import { sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import { drizzle as drizzleBetterSqlite } from "drizzle-orm/better-sqlite3";
import { drizzle as drizzleD1 } from "drizzle-orm/d1";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { drizzle as drizzleLibsql } from "drizzle-orm/libsql";
import { drizzle as drizzleMysql2 } from "drizzle-orm/mysql2";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { pgTable, text } from "drizzle-orm/pg-core";
import { Kysely, SqliteDialect } from "kysely";
import type { Transaction } from "kysely";
import { expectTypeOf, test } from "vitest";
import { drizzleBatch, drizzleOrm, kysely, prismaOrm } from "../../adapters/sql/index.ts";
import type { SqlDatabase } from "../../adapters/sql/index.ts";
import type { ShopClient, ShopTransaction } from "../support/prisma/shop-client.ts";

/** The handle that a database's `run` gives. */
type HandleOf<Database> = Database extends Pick<SqlDatabase<infer Sql, never, never>, "run"> ? Sql : never;
/** What a drizzle database gives to the function that its own `transaction` runs. */
type OwnTransaction<Db extends { transaction(work: never): unknown }> = Parameters<Db["transaction"]>[0] extends (
  tx: infer Tx,
  ...rest: never
) => unknown
  ? Tx
  : never;

const orders = pgTable("orders", { id: text().primaryKey() });

test("Drizzle's own transaction is the handle, with the user's schema", () => {
  const db = drizzleNodePostgres.mock({ schema: { orders } });
  const database = drizzleOrm(db, { sql, dialect: "postgresql" });
  expectTypeOf<HandleOf<typeof database>>().toEqualTypeOf<OwnTransaction<typeof db>>();
  expectTypeOf<HandleOf<typeof database>["query"]["orders"]>().toEqualTypeOf<(typeof db)["query"]["orders"]>();

  const libsql = drizzleLibsql({ client: createClient({ url: ":memory:" }) });
  const onLibsql = drizzleOrm(libsql, { sql, dialect: "sqlite" });
  expectTypeOf<HandleOf<typeof onLibsql>>().toEqualTypeOf<OwnTransaction<typeof libsql>>();

  const mysql = drizzleMysql2.mock();
  const onMysql = drizzleOrm(mysql, { sql, dialect: "mysql" });
  expectTypeOf<HandleOf<typeof onMysql>>().toEqualTypeOf<OwnTransaction<typeof mysql>>();
});

test("where Drizzle is synchronous, the database itself is the handle", () => {
  const db = drizzleBetterSqlite({ client: new Sqlite(":memory:") });
  const database = drizzleOrm(db, { sql, dialect: "sqlite" });
  expectTypeOf<HandleOf<typeof database>>().toEqualTypeOf<typeof db>();
});

test("Drizzle's batches take its queries, and have no run", () => {
  const db: DrizzleD1Database = drizzleD1({} as Parameters<typeof drizzleD1>[0]);
  const database = drizzleBatch(db, { dialect: "sqlite" });
  expectTypeOf<Parameters<(typeof database)["batch"]>[0]>().toEqualTypeOf<readonly BatchItem<"sqlite">[]>();
  expectTypeOf<(typeof database)["run"]>().toEqualTypeOf<undefined>();
});

test("Kysely's Transaction of the user's tables is the handle", () => {
  interface Tables {
    readonly orders: { readonly id: string };
  }
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: new Sqlite(":memory:") }) });
  const database = kysely(db, { dialect: "sqlite" });
  expectTypeOf<HandleOf<typeof database>>().toEqualTypeOf<Transaction<Tables>>();
});

test("Prisma's transaction client is the handle", () => {
  const client = { $transaction: () => undefined } as unknown as ShopClient;
  const database = prismaOrm(client, { dialect: "postgresql" });
  expectTypeOf<HandleOf<typeof database>>().toEqualTypeOf<ShopTransaction>();
});
