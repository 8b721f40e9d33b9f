import { DatabaseSync } from "node:sqlite";
import { nodeSqlite } from "aftercommit/sql";
import type { Effect, Order, Orders } from "./orders.ts";

/** The shop's data in a SQLite file, on Node and Deno; the file decides. */
export async function sqliteOrders(file: string): Promise<Orders> {
  const db = openFile(file);
  const database = nodeSqlite(db);
  // Where there are migrations, one of them makes these.
  await database.createTables();
  return {
    database,
    insert: (tx, order) => tx.run("main", async (sql: DatabaseSync) => insertOrder(sql, tx.id, order)),
    act: (message, effect) => message.run("main", async (sql: DatabaseSync) => insertEffect(sql, message.id, effect)),
  };
}

/** The same data without our rows: whether an order is there is looked up when somebody asks. */
export function checkedSqliteOrders(file: string): Orders {
  const db = openFile(file);
  const find = db.prepare("select 1 from orders where tx_id = ?");
  return {
    check: async (transactionId) => (find.get(transactionId) === undefined ? "rolledBack" : "committed"),
    insert: async (tx, order) => insertOrder(db, tx.id, order),
    act: async (message, effect) => insertEffect(db, message.id, effect),
  };
}

function openFile(file: string): DatabaseSync {
  const db = new DatabaseSync(file);
  db.exec(`
    pragma journal_mode = wal;
    pragma busy_timeout = 2000;
    create table if not exists orders (id text primary key, tx_id text not null unique, item text not null, cents integer not null);
    create table if not exists effects (consumer text not null, message_id text not null, order_id text not null, boot text not null);
  `);
  return db;
}

function insertOrder(sql: DatabaseSync, transactionId: string, { id, item, cents }: Order): void {
  sql.prepare("insert into orders (id, tx_id, item, cents) values (?, ?, ?, ?)").run(id, transactionId, item, cents);
}

function insertEffect(sql: DatabaseSync, messageId: string, { consumer, orderId, boot }: Effect): void {
  sql
    .prepare("insert into effects (consumer, message_id, order_id, boot) values (?, ?, ?, ?)")
    .run(consumer, messageId, orderId, boot);
}
