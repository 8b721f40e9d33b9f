import { FatalError } from "aftercommit";
import type { Message } from "aftercommit";
import type { Bindings } from "./bindings.ts";
import type { OrderPlaced } from "./service.ts";

/** Writes the receipt of an order: its row and the inbox's are one batch, so that there is one, however often it is asked for. */
export async function writeReceipt(message: Message<OrderPlaced>, { DB }: Bindings): Promise<void> {
  const { orderId } = message.data;
  await message.batch("main", [
    DB.prepare("insert into receipts (order_id, message_id) values (?1, ?2)").bind(orderId, message.id),
  ]);
}

/** Takes an article out of stock, once. What is sold out is tried again; what was never sold is for a person to look at. */
export async function takeFromStock(message: Message<OrderPlaced>, { DB }: Bindings): Promise<void> {
  const { article } = message.data;
  const known = await DB.prepare("select 1 from articles where name = ?1").bind(article).first();
  if (known === null) throw new FatalError(`there is no article "${article}"`);
  await message.batch("main", [
    DB.prepare("update articles set in_stock = in_stock - 1 where name = ?1").bind(article),
  ]);
}
