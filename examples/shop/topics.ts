import { topic } from "aftercommit";
import * as z from "zod/mini";

/** The contract between the shop and whoever cares that an order was paid; retried after 10 s, 20 s, 40 s, 80 s, 160 s. */
export const orderPaid = topic(
  "order.paid",
  z.object({ orderId: z.string(), item: z.string().check(z.minLength(1)), cents: z.int() }),
  { retries: 5, retryDelay: "10000 * pow(2, retried)" },
);
