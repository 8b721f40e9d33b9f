/**
 * The shop on Deno: `deno run -A examples/shop/deno.ts`, with QStash, Redis and the shop's own address in the
 * environment.
 */
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { createShop } from "./shop.ts";
import { sqliteOrders } from "./sqlite-orders.ts";

const env = Deno.env.toObject();
const port = Number(env.PORT ?? 3000);

const { app, ac } = createShop({
  orders: await sqliteOrders(env.SHOP_DATABASE ?? "shop.sqlite"),
  boot: crypto.randomUUID(),
  infrastructure: {
    publicUrl: env.PUBLIC_URL ?? `http://127.0.0.1:${port}`,
    dev: env.SHOP_DEV === "true",
    log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN }), {
      namespace: "shop",
    }),
    transport: qstash({
      client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN ?? "" }),
      currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
      nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
    }),
    operations: { bearer: env.SHOP_OPERATOR_TOKEN },
  },
});

const server = Deno.serve({ port, hostname: "127.0.0.1" }, app.fetch);

async function sweep(): Promise<void> {
  // What a sweep leaves undone, the next one does.
  await ac
    .operator()
    .sweep()
    .catch(() => undefined);
}

// Deno Deploy has cron, which needs no running process; elsewhere it is behind a flag, and a timer does.
let sweeping: ReturnType<typeof setInterval> | undefined;
if ("cron" in Deno) void Deno.cron("sweep", "* * * * *", sweep);
else sweeping = setInterval(sweep, 30_000);

Deno.addSignalListener("SIGTERM", () => {
  clearInterval(sweeping);
  void server
    .shutdown()
    .then(() => ac.drain())
    .then(() => Deno.exit(0));
});
