import { aftercommit, FatalError, RetryableError } from "aftercommit";
import type { Aftercommit, AftercommitEnv, AftercommitOptions, PublishOptions } from "aftercommit";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as z from "zod/mini";
import type { Orders } from "./orders.ts";
import { orderPaid } from "./topics.ts";

/** What the shop needs of its surroundings. */
export interface ShopOptions {
  readonly orders: Orders;
  /** Where messages are kept and what carries them. */
  readonly infrastructure: AftercommitOptions;
  /** Names this start of the shop. */
  readonly boot?: string;
  /** How orders' messages travel, where that differs from the topic. */
  readonly delivery?: PublishOptions;
  /** How often a consumer's first two attempts fail before they have done anything, 0 to 1. @default 0 */
  readonly failureRate?: number;
}

/** The shop: an app to serve, and its aftercommit to sweep and drain. */
export interface Shop {
  readonly app: Hono<AftercommitEnv>;
  readonly ac: Aftercommit;
}

const newOrder = z.object({ item: z.string(), cents: z.int() });

/** An order shop: writes an order, and tells the receipt and the stock of it, if and only if it is there. */
export function createShop({ orders, infrastructure, boot = "", delivery, failureRate = 0 }: ShopOptions): Shop {
  const { database, check } = orders;
  const ac = aftercommit({
    ...infrastructure,
    ...(database === undefined ? {} : { databases: { main: database }, inbox: "main" }),
    ...(check === undefined ? {} : { checks: { order: check } }),
    routes: { [orderPaid.name]: ["/consumers/receipt", "/consumers/stock"] },
  });

  const app = new Hono<AftercommitEnv>();
  app.use("/orders/*", ac.transaction(database === undefined ? { check: "order" } : { database: "main" }));

  app.post("/orders", async (c) => {
    const { tx } = c.var;
    const { item, cents } = newOrder.parse(await c.req.json());
    const orderId = crypto.randomUUID();
    await tx.publish(orderPaid, { orderId, item, cents }, delivery);
    await orders.insert(tx, { id: orderId, item, cents });
    return c.json({ orderId, transactionId: tx.id }, 201);
  });

  // The payment is refused after the message was published: nothing is written, nothing may be sent.
  app.post("/orders/refused", async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: crypto.randomUUID(), item: "refused", cents: 1 });
    return c.json({ error: "payment refused", transactionId: c.var.tx.id }, 402);
  });

  // Throws after the order was written: the answer is 500, and the order is there all the same. So it is sent: its commit
  // decides, or the check that finds it, and not the answer.
  app.post("/orders/throws", async (c) => {
    const { tx } = c.var;
    const { item, cents } = newOrder.parse(await c.req.json());
    const orderId = crypto.randomUUID();
    await tx.publish(orderPaid, { orderId, item, cents }, delivery);
    await orders.insert(tx, { id: orderId, item, cents });
    throw new HTTPException(500, { message: "the printer is on fire" });
  });

  const consumer = (name: string) =>
    ac.consumer(
      orderPaid,
      async (message) => {
        if (message.data.item === "poison") throw new FatalError(`Nobody can handle a "poison".`);
        if (message.attempt <= 2 && Math.random() < failureRate)
          throw new RetryableError("busy, try again", { retryAfter: "1s" });
        await orders.act(message, { consumer: name, orderId: message.data.orderId, boot });
        return { done: name };
      },
      { name },
    );
  app.post("/consumers/receipt", consumer("receipt"));
  app.post("/consumers/stock", consumer("stock"));

  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}
