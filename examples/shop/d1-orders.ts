import { d1 } from "aftercommit/sql";
import type { D1Like } from "aftercommit/sql";
import type { Orders } from "./orders.ts";

const TABLES = [
  "create table if not exists orders (id text primary key, tx_id text not null unique, item text not null, cents integer not null)",
  "create table if not exists effects (consumer text not null, message_id text not null, order_id text not null, boot text not null)",
];

/** Makes the shop's tables and ours: a migration, to be run before the Worker is. */
export async function createTables<Statement>(db: D1Like<Statement>): Promise<void> {
  await db.batch(TABLES.map((table) => db.prepare(table).bind()));
  await d1(db).createTables();
}

/** The shop's data in a D1 database, on Workers: it has no open transactions, so that what belongs together is one batch. */
export function d1Orders<Statement>(db: D1Like<Statement>): Orders {
  return {
    database: d1(db),
    async insert(tx, { id, item, cents }) {
      await tx.batch("main", [
        db.prepare("insert into orders (id, tx_id, item, cents) values (?, ?, ?, ?)").bind(id, tx.id, item, cents),
      ]);
    },
    async act(message, { consumer, orderId, boot }) {
      await message.batch("main", [
        db
          .prepare("insert into effects (consumer, message_id, order_id, boot) values (?, ?, ?, ?)")
          .bind(consumer, message.id, orderId, boot),
      ]);
    },
  };
}
