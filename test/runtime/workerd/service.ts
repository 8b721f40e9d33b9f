/** A Worker in the form of the README: the configuration is a function of the bindings, the exports are the library's own. */
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis/cloudflare";
import { Hono } from "hono";
import * as z from "zod/mini";
import { d1Orders } from "../../../examples/shop/d1-orders.ts";
import type { ShopBindings } from "../../../examples/shop/worker.ts";

const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));

const ac = aftercommit<ShopBindings>((env) => ({
  publicUrl: env.PUBLIC_URL,
  dev: true,
  log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN })),
  transport: qstash({
    client: new Client({ baseUrl: env.QSTASH_URL!, token: env.QSTASH_TOKEN }),
    currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
    nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
  }),
  routes: { [orderPaid.name]: ["/consumers/receipt"] },
  recovery: { watchdog: "1s", longestRequest: 1, deadline: 2 },
}));

const app = new Hono<AftercommitEnv<ShopBindings>>();
app.use("/orders", ac.transaction());
app.post("/orders", async (c) => {
  const { id } = await c.var.tx.publish(orderPaid, { orderId: crypto.randomUUID() });
  return c.json({ id }, 201);
});
app.post(
  "/consumers/receipt",
  ac.consumer(orderPaid, async (message, c) => {
    const { orderId } = message.data;
    await d1Orders(c.env.DB).act({ consumer: "receipt", messageId: message.id, orderId, boot: "" });
  }),
);
app.route("/_aftercommit", ac.operations());

export default { fetch: app.fetch, scheduled: ac.scheduled };
