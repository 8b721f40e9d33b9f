import { topic } from "aftercommit";
import * as z from "zod/mini";

/** The contract between the shop and whoever cares that an order was paid. */
export const orderPaid = topic(
  "order.paid",
  z.object({ orderId: z.string(), item: z.string().check(z.minLength(1)), cents: z.int() }),
);
