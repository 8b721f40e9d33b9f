import { request } from "node:http";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import type { DevServer, DevServerOptions } from "../../../adapters/dev/index.ts";
import { d1Orders } from "../../../examples/shop/d1-orders.ts";
import { createShop } from "../../../examples/shop/shop.ts";
import { bundleWorker } from "./bundle.ts";
import { startRedisGate } from "./redis-gate.ts";
import type { RedisGate } from "./redis-gate.ts";
import { startWorker } from "./worker-process.ts";
import type { WorkerProcess } from "./worker-process.ts";

const entry = new URL("../../../examples/shop/worker.ts", import.meta.url);
const order = JSON.stringify({ item: "tea", cents: 420 });

interface Shop extends WorkerProcess {
  readonly dev: DevServer;
  /** Between the Worker and Redis. */
  readonly gate: RedisGate;
  post(path: string, body?: string, headers?: Record<string, string>): Promise<Response>;
  /** Posts an order, and resolves to its id. */
  order(): Promise<string>;
  /** What the consumers did, as `consumer orderId`, sorted. */
  effects(): Promise<readonly string[]>;
}

async function startShop(compatibilityFlags: readonly string[], options: DevServerOptions = {}): Promise<Shop> {
  const dev = await startDevServer(options);
  onTestFinished(() => dev.close());
  const gate = await startRedisGate(dev.redis.url);
  onTestFinished(() => gate.close());
  const worker = await startWorker({ entry, dev, redisUrl: gate.url, compatibilityFlags });
  onTestFinished(() => worker.stop());
  const post: Shop["post"] = (path, body = order, headers = {}) =>
    fetch(worker.url + path, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
  return {
    ...worker,
    dev,
    gate,
    post,
    async order() {
      const response = await post("/orders");
      expect(response.status).toBe(201);
      return ((await response.json()) as { orderId: string }).orderId;
    },
    async effects() {
      const rows = (await worker.query("select consumer, order_id from effects")) as readonly {
        consumer: string;
        order_id: string;
      }[];
      return rows.map((row) => `${row.consumer} ${row.order_id}`).toSorted();
    },
  };
}

/** Waits until each order had its effect at both consumers, and no other, and nothing is left in D1 to be sent. */
async function acted(shop: Shop, ...orderIds: string[]): Promise<void> {
  const expected = orderIds.flatMap((orderId) => [`receipt ${orderId}`, `stock ${orderId}`]).toSorted();
  const decided = orderIds.toSorted().map((id) => ({ id, verdict: "committed", settled: 1, dead: 0 }));
  await vi.waitFor(
    async () => {
      expect(await shop.effects()).toEqual(expected);
      expect(
        await shop.query(
          `select orders.id, verdict, settled is not null as settled, dead
           from aftercommit_barrier left join orders on tx_id = transaction_id order by orders.id`,
        ),
      ).toEqual(decided);
    },
    { timeout: 10_000, interval: 20 },
  );
}

/** The shop in another process, on the same D1 database, that commits and does not live to send anything. */
async function commitElsewhere(shop: Shop): Promise<string> {
  const { redis, qstash: sender } = shop.dev;
  const unused = new Client({ token: "unused", baseUrl: sender.url });
  const { app } = createShop({
    orders: d1Orders(shop.database),
    infrastructure: {
      publicUrl: shop.url,
      dev: true,
      log: upstashRedis(new Redis(redis), { namespace: "shop" }),
      transport: { ...qstash({ client: unused, ...sender }), publish: () => new Promise(() => {}) },
      observer: { event() {} },
      recovery: { longestRequest: 1, deadline: 2 },
    },
  });
  const response = await app.request("/orders", { method: "POST", body: order });
  expect(response.status).toBe(201);
  expect(sender.engine.stats()).toMatchObject({ published: 0 });
  return ((await response.json()) as { orderId: string }).orderId;
}

/** Fires the Cron Trigger until both consumers had the order. */
async function recovered(shop: Shop, orderId: string): Promise<void> {
  await vi.waitFor(
    async () => {
      await shop.scheduled();
      expect(await shop.effects()).toEqual([`receipt ${orderId}`, `stock ${orderId}`]);
    },
    { timeout: 20_000, interval: 5 },
  );
  await acted(shop, orderId);
  expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 2 });
}

test("the Worker's bundle imports nothing from Node", async () => {
  const { code, externals } = await bundleWorker(entry);
  expect(externals).toEqual([]);
  expect(code).not.toMatch(/["'`]node:\w/);
});

describe.each([
  ["without compatibility flags", []],
  ["with nodejs_compat", ["nodejs_compat"]],
] as const)("the shop in workerd, %s", (_, flags) => {
  test("one order makes one delivery for each destination, and one effect of each", async () => {
    const shop = await startShop(flags);
    await acted(shop, await shop.order());
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 2, attempts: 2, delivered: 2, failed: 0 });
  });

  test("many orders at once do not mix in one isolate", async () => {
    const shop = await startShop(flags);
    await acted(shop, ...(await Promise.all(Array.from({ length: 20 }, () => shop.order()))));
  });

  test("messages that are delivered twice have their effect once", async () => {
    const shop = await startShop(flags, { qstash: { duplicateRate: 1 } });
    const orderIds = await Promise.all(Array.from({ length: 10 }, () => shop.order()));
    await acted(shop, ...orderIds);
    const { engine } = shop.dev.qstash;
    await vi.waitFor(() => expect(engine.stats().attempts).toBeGreaterThanOrEqual(40), { timeout: 10_000 });
    await acted(shop, ...orderIds);
  });

  test("Redis that does not answer keeps no order from being committed and sent, and no effect from happening", async () => {
    const shop = await startShop(flags);
    const held = shop.gate.hold();
    await acted(shop, await shop.order());
    await held;
  });

  test("a refused order writes no row, and sends nothing", async () => {
    const shop = await startShop(flags);
    expect((await shop.post("/orders/refused")).status).toBe(402);
    await shop.scheduled();
    await acted(shop);
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 0 });
  });

  test("an order that is there in spite of an error is sent, as its own batch has decided", async () => {
    const shop = await startShop(flags);
    expect((await shop.post("/orders/throws")).status).toBe(500);
    const [row] = (await shop.query("select id from orders")) as readonly { readonly id: string }[];
    await acted(shop, row!.id);
  });

  test("a forged delivery gets 401 and has no effect", async () => {
    const shop = await startShop(flags);
    const forged = await shop.post("/consumers/receipt", "{}", { "upstash-signature": "e30.e30.e30" });
    expect(forged.status).toBe(401);
    expect((await shop.post("/consumers/receipt", "{}")).status).toBe(401);
    expect(await shop.effects()).toEqual([]);
  });

  test("an order whose client went away is sent all the same", async () => {
    const shop = await startShop(flags);
    const told = shop.gate.hold();
    const client = request(`${shop.url}/orders`, { method: "POST", headers: { "content-type": "application/json" } });
    const gone = new Promise((resolve) => client.on("error", () => {}).once("close", resolve));
    client.end(order);
    await told;
    client.socket!.resetAndDestroy();
    await gone;
    await vi.waitFor(async () => expect(await shop.effects()).toHaveLength(2), { timeout: 10_000, interval: 20 });
  });

  test("the Cron Trigger sends what another process committed and did not live to send", async () => {
    const shop = await startShop(flags);
    await recovered(shop, await commitElsewhere(shop));
  });

  test("the Cron Trigger finds in D1 what another process committed, although Redis has lost everything", async () => {
    const shop = await startShop(flags);
    const redis = new Redis(shop.dev.redis);
    const orderId = await commitElsewhere(shop);
    await vi.waitFor(async () => expect(await redis.dbsize()).toBeGreaterThan(0), { timeout: 10_000, interval: 20 });
    await redis.flushall();
    await recovered(shop, orderId);
  });
});
