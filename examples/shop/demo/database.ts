import { DatabaseSync } from "node:sqlite";
import type { Effect } from "../orders.ts";

/** An order, as it stands in the shop's database. */
export interface WrittenOrder {
  readonly id: string;
  readonly transactionId: string;
  readonly item: string;
}

/** Reads the shop's database: orders, and effects in the order in which they happened. */
export function readDatabase(file: string): {
  readonly orders: readonly WrittenOrder[];
  readonly effects: readonly Effect[];
} {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = (sql: string): unknown[] => database.prepare(sql).all();
  const orders = rows("select id, tx_id as transactionId, item from orders") as WrittenOrder[];
  const effects = rows(
    "select consumer, message_id as messageId, order_id as orderId, boot from effects order by rowid",
  ) as Effect[];
  database.close();
  return { orders, effects };
}
