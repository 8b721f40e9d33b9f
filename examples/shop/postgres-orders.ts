import type { InteractiveDatabase } from "aftercommit/sql";
import type { Orders } from "./orders.ts";

/** What PGlite and pg have in common, and their transactions too. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

const TABLES = [
  "create table if not exists orders (id text primary key, tx_id text not null unique, item text not null, cents integer not null)",
  "create table if not exists effects (consumer text not null, message_id text not null, order_id text not null, boot text not null)",
];

/** The shop's data in PostgreSQL, whatever speaks to it; the server decides. */
export async function postgresOrders(db: Queryable, database: InteractiveDatabase<Queryable>): Promise<Orders> {
  for (const table of TABLES) await db.query(table);
  // Where there are migrations, one of them makes these.
  await database.createTables();
  return {
    database,
    insert: (tx, { id, item, cents }) =>
      tx.run("main", async (sql: Queryable) => {
        await sql.query("insert into orders (id, tx_id, item, cents) values ($1, $2, $3, $4)", [
          id,
          tx.id,
          item,
          cents,
        ]);
      }),
    act: (message, { consumer, orderId, boot }) =>
      message.run("main", async (sql: Queryable) => {
        await sql.query("insert into effects (consumer, message_id, order_id, boot) values ($1, $2, $3, $4)", [
          consumer,
          message.id,
          orderId,
          boot,
        ]);
      }),
  };
}
