/**
 * The shop on Node: `node examples/shop/node.ts`, with QStash, Redis and the shop's own address in the environment.
 */
import { consoleObserver } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { serve } from "@hono/node-server";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { slowOrders } from "./demo/slow-orders.ts";
import { openOrders } from "./open-orders.ts";
import { createShop } from "./shop.ts";

const { env } = process;
const port = Number(env.PORT ?? 3000);
const demo = env.SHOP_DEMO === "true";

const orders = await openOrders(env.SHOP_DATABASE ?? "sqlite:shop.sqlite");

const { app, ac } = createShop({
  orders: demo ? slowOrders(orders) : orders,
  boot: env.SHOP_BOOT ?? crypto.randomUUID(),
  failureRate: Number(env.SHOP_FAILURE_RATE ?? 0),
  ...(demo ? { delivery: { retries: 20, retryDelay: "min(3000, 500 * (1 + retried))" } } : {}),
  infrastructure: {
    publicUrl: env.PUBLIC_URL ?? `http://127.0.0.1:${port}`,
    dev: env.NODE_ENV !== "production",
    log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN }), {
      namespace: "shop",
    }),
    transport: qstash({
      client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN ?? "" }),
      currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
      nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
    }),
    operations: { bearer: env.SHOP_OPERATOR_TOKEN },
    observer: consoleObserver({ verbose: demo }),
    // The demo's time runs fast, so that what a crash leaves behind is found within seconds.
    ...(demo
      ? {
          recovery: {
            longestRequest: "1s",
            deadline: "2s",
            checkSpacing: "500ms",
            confirmAfter: "4s",
            sweepLease: "2s",
            auditEvery: "1s",
          },
          consumers: { lease: "3s", renewEvery: "1s" },
        }
      : {}),
  },
});

const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" });
const sweeping = setInterval(
  () =>
    void ac
      .operator()
      .sweep()
      .catch(() => undefined),
  demo ? 300 : 30_000,
);

process.once("SIGTERM", () => {
  clearInterval(sweeping);
  server.close(() => void ac.drain().then(() => process.exit(0)));
});
