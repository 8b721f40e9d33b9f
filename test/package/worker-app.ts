import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis/cloudflare";
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Hono } from "hono/tiny";
import * as z from "zod/mini";

/** A complete Worker with the smallest of everything that it needs: what it comes to is measured. */

const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));

const ac = aftercommit<Record<string, string>>((env) => ({
  publicUrl: env["PUBLIC_URL"]!,
  log: upstashRedis(new Redis({ url: env["UPSTASH_REDIS_REST_URL"], token: env["UPSTASH_REDIS_REST_TOKEN"] })),
  transport: qstash({
    client: new Client({ token: env["QSTASH_TOKEN"]! }),
    currentSigningKey: env["QSTASH_CURRENT_SIGNING_KEY"],
    nextSigningKey: env["QSTASH_NEXT_SIGNING_KEY"],
  }),
  routes: { [orderPaid.name]: ["/consumers/receipt"] },
}));

const app = new Hono<AftercommitEnv<Record<string, string>>>();
app.post("/orders", ac.transaction(), async (c) => {
  await c.var.tx.publish(orderPaid, { orderId: crypto.randomUUID() });
  return c.json({}, 201);
});
app.post(
  "/consumers/receipt",
  ac.consumer(orderPaid, (message) => console.log(message.data.orderId)),
);
app.route("/_aftercommit", ac.operations());

export const worker = { fetch: app.fetch, scheduled: ac.scheduled };
