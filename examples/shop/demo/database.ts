import { mkdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import type { Effect } from "../orders.ts";
import type { DemoOptions } from "./options.ts";
import { startPostgres } from "./postgres.ts";
import type { Processes } from "./processes.ts";

/** An order, as it stands in the shop's database. */
export interface WrittenOrder {
  readonly id: string;
  readonly transactionId: string;
  readonly item: string;
}

/** An effect, as it stands there. */
export interface WrittenEffect extends Effect {
  readonly messageId: string;
}

/** What the shop's database says. */
export interface Books {
  readonly orders: readonly WrittenOrder[];
  readonly effects: readonly WrittenEffect[];
  /** The transactions that have a committed row at level `barrier`; at `checked` the database has none. */
  readonly decisions: readonly string[] | undefined;
}

/** The shop's database, seen from outside of the shop. */
export interface ShopDatabase {
  /** What it is, in words. */
  readonly title: string;
  /** What the shop opens. */
  readonly address: string;
  /** Reads it, once the shop has ended. */
  read(): Promise<Books>;
}

type Query = (sql: string) => Promise<readonly unknown[]>;

/** Prepares a database for the shop, in a folder of the demo's own. */
export async function startDatabase(
  { database, level }: DemoOptions,
  processes: Processes,
  folder: string,
): Promise<ShopDatabase> {
  if (database === "postgres") {
    const { url, stop } = await startPostgres(processes, folder);
    return { title: "PostgreSQL", address: url, read: () => readPostgres(url).finally(stop) };
  }
  if (database === "pglite") {
    const files = join(folder, "pglite");
    mkdirSync(files);
    return { title: "PGlite", address: `pglite:${files}`, read: () => readPGlite(files) };
  }
  const file = join(folder, "shop.sqlite");
  const scheme = level === "checked" ? "checked" : "sqlite";
  return { title: "SQLite", address: `${scheme}:${file}`, read: () => readSqlite(file, level) };
}

async function readSqlite(file: string, level: DemoOptions["level"]): Promise<Books> {
  const db = new DatabaseSync(file, { readOnly: true });
  const books = await readBooks(async (sql) => db.prepare(sql).all(), level);
  db.close();
  return books;
}

async function readPGlite(files: string): Promise<Books> {
  const { PGlite } = await import("@electric-sql/pglite");
  const db = await PGlite.create(files);
  const books = await readBooks(async (sql) => (await db.query(sql)).rows);
  await db.close();
  return books;
}

async function readPostgres(url: string): Promise<Books> {
  const { Client } = await import("pg");
  const client = new Client({ connectionString: url });
  await client.connect();
  const books = await readBooks(async (sql) => (await client.query<Record<string, unknown>>(sql)).rows);
  await client.end();
  return books;
}

async function readBooks(query: Query, level: DemoOptions["level"] = "barrier"): Promise<Books> {
  const orders = await query(`select id, tx_id as "transactionId", item from orders`);
  const effects = await query(`select consumer, message_id as "messageId", order_id as "orderId", boot from effects`);
  const decisions =
    level === "checked"
      ? undefined
      : await query(
          "select transaction_id as id from aftercommit_barrier where kind = 'decision' and verdict = 'committed'",
        );
  return {
    orders: orders as readonly WrittenOrder[],
    effects: effects as readonly WrittenEffect[],
    decisions: (decisions as readonly { readonly id: string }[] | undefined)?.map(({ id }) => id),
  };
}
