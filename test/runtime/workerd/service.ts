/**
 * A Worker in the form of the README: the configuration is a function of the bindings, the exports are the library's own.
 * Its transactions are decided by the log, and its D1 database knows of none of it.
 */
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis/cloudflare";
import { Hono } from "hono";
import * as z from "zod/mini";
import type { ShopBindings } from "../../../examples/shop/worker.ts";
import type { D1Database } from "./worker-process.ts";

interface Bindings extends ShopBindings {
  readonly DB: D1Database;
}

const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));

const ac = aftercommit<Bindings>((env) => ({
  publicUrl: env.PUBLIC_URL,
  dev: true,
  log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN })),
  transport: qstash({
    client: new Client({ baseUrl: env.QSTASH_URL!, token: env.QSTASH_TOKEN }),
    currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
    nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
  }),
  routes: { [orderPaid.name]: ["/consumers/receipt"] },
  checks: {
    async order(transactionId) {
      const found = await env.DB.prepare("select 1 from orders where tx_id = ?").bind(transactionId).first();
      return found === null ? "rolledBack" : "committed";
    },
  },
  recovery: { watchdog: "1s", longestRequest: 1, deadline: 2 },
}));

const app = new Hono<AftercommitEnv<Bindings>>();
app.use("/orders", ac.transaction());
app.post("/orders", async (c) => {
  const { id } = await c.var.tx.publish(orderPaid, { orderId: crypto.randomUUID() });
  return c.json({ id }, 201);
});
app.use("/orders/throws", ac.transaction({ check: "order" }));
app.post("/orders/throws", async (c) => {
  const { tx } = c.var;
  const orderId = crypto.randomUUID();
  await tx.publish(orderPaid, { orderId });
  await c.env.DB.prepare("insert into orders (id, tx_id, item, cents) values (?, ?, 'tea', 420)")
    .bind(orderId, tx.id)
    .run();
  throw new Error("the printer is on fire");
});
app.post(
  "/consumers/receipt",
  ac.consumer(orderPaid, async (message, c) => {
    const { DB } = c.env as Bindings;
    await DB.prepare("insert into effects (consumer, message_id, order_id, boot) values ('receipt', ?, ?, '')")
      .bind(message.id, message.data.orderId)
      .run();
  }),
);
app.route("/_aftercommit", ac.operations());

export default { fetch: app.fetch, scheduled: ac.scheduled };
