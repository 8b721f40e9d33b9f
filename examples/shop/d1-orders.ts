import type { Orders } from "./orders.ts";

/** What is used of a D1 database, by shape. */
export interface D1Like {
  prepare(sql: string): D1StatementLike;
}

/** What is used of a prepared statement, by shape. */
export interface D1StatementLike {
  bind(...values: unknown[]): D1StatementLike;
  run(): Promise<unknown>;
  first(): Promise<unknown>;
}

const TABLES = [
  "create table if not exists orders (id text primary key, tx_id text not null unique, item text not null, cents integer not null)",
  "create table if not exists effects (consumer text not null, message_id text not null, order_id text not null, boot text not null)",
];

/** Makes the shop's tables: a migration, to be run before the Worker is. */
export async function createTables(database: D1Like): Promise<void> {
  for (const table of TABLES) await database.prepare(table).run();
}

/** The shop's data in a D1 database, on Workers. */
export function d1Orders(database: D1Like): Orders {
  return {
    async insert({ id, transactionId, item, cents }) {
      await database
        .prepare("insert into orders (id, tx_id, item, cents) values (?, ?, ?, ?)")
        .bind(id, transactionId, item, cents)
        .run();
    },
    async hasTransaction(transactionId) {
      return (await database.prepare("select 1 from orders where tx_id = ?").bind(transactionId).first()) !== null;
    },
    async act({ consumer, messageId, orderId, boot }) {
      await database
        .prepare("insert into effects (consumer, message_id, order_id, boot) values (?, ?, ?, ?)")
        .bind(consumer, messageId, orderId, boot)
        .run();
    },
  };
}
