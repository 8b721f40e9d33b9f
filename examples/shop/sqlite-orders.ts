import { DatabaseSync } from "node:sqlite";
import type { Orders } from "./orders.ts";

/** The shop's data in a SQLite file; on Node and Deno. */
export function sqliteOrders(file: string): Orders & { readonly database: DatabaseSync } {
  const database = new DatabaseSync(file);
  database.exec(`
    pragma journal_mode = wal;
    pragma busy_timeout = 2000;
    create table if not exists orders (id text primary key, tx_id text not null unique, item text not null, cents integer not null);
    create table if not exists effects (consumer text not null, message_id text not null, order_id text not null, boot text not null);
  `);
  const insert = database.prepare("insert into orders (id, tx_id, item, cents) values (?, ?, ?, ?)");
  const find = database.prepare("select 1 from orders where tx_id = ?");
  const act = database.prepare("insert into effects (consumer, message_id, order_id, boot) values (?, ?, ?, ?)");
  return {
    database,
    async insert({ id, transactionId, item, cents }) {
      insert.run(id, transactionId, item, cents);
    },
    async hasTransaction(transactionId) {
      return find.get(transactionId) !== undefined;
    },
    async act({ consumer, messageId, orderId, boot }) {
      act.run(consumer, messageId, orderId, boot);
    },
  };
}
