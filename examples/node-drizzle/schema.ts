import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";

export const orders = pgTable("orders", {
  id: text().primaryKey(),
  item: text().notNull(),
  cents: integer().notNull(),
});

/** One row for each time that a receipt went out. */
export const receipts = pgTable("receipts", {
  orderId: text("order_id").notNull(),
  at: timestamp().notNull().defaultNow(),
});

/** Makes the tables. Where there are migrations, one of them does. */
export async function createTables(db: NodePgDatabase): Promise<void> {
  await db.execute(
    sql`create table if not exists orders (id text primary key, item text not null, cents integer not null)`,
  );
  await db.execute(
    sql`create table if not exists receipts (order_id text not null, at timestamp not null default now())`,
  );
}
