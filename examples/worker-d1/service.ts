import { aftercommit, topic } from "aftercommit";
import { cloudflareQueues } from "aftercommit/cloudflare-queues";
import { d1 } from "aftercommit/sql";
import * as z from "zod/mini";
import type { Bindings } from "./bindings.ts";

const order = z.object({ orderId: z.string(), article: z.string(), cents: z.int() });

/** What is said of an order that was placed. */
export type OrderPlaced = z.infer<typeof order>;

/** An order was placed: sent if, and only if, its row is committed. */
export const orderPlaced = topic("order.placed", order);

/**
 * The service: orders, messages and inbox in one D1 database, and a queue that carries the messages. No Redis, no other
 * service, no URL that anybody calls.
 */
export const ac = aftercommit<Bindings>((env) => ({
  source: "worker-d1",
  databases: { main: d1(env.DB) },
  inbox: "main",
  transport: cloudflareQueues({ orders: env.ORDERS }),
  routes: { [orderPlaced.name]: ["queue:orders/receipt", "queue:orders/stock"] },
  operations: { bearer: env.OPERATOR_TOKEN },
}));
