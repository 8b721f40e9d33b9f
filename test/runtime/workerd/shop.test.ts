import { request } from "node:http";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import type { DevServer } from "../../../adapters/dev/index.ts";
import type { LogStore } from "../../../src/ports/log-store.ts";
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
  readonly log: LogStore;
  post(path: string, body?: string, headers?: Record<string, string>): Promise<Response>;
  /** What the consumers did, as `consumer orderId`, sorted. */
  effects(): Promise<readonly string[]>;
}

async function startShop(compatibilityFlags: readonly string[]): Promise<Shop> {
  const dev = await startDevServer();
  onTestFinished(() => dev.close());
  const gate = await startRedisGate(dev.redis.url);
  onTestFinished(() => gate.close());
  const worker = await startWorker({ entry, dev, redisUrl: gate.url, compatibilityFlags });
  onTestFinished(() => worker.stop());
  return {
    ...worker,
    dev,
    gate,
    log: logOf(dev),
    post: (path, body = order, headers = {}) =>
      fetch(worker.url + path, { method: "POST", body, headers: { "content-type": "application/json", ...headers } }),
    async effects() {
      const rows = (await worker.query("select consumer, order_id from effects")) as readonly {
        consumer: string;
        order_id: string;
      }[];
      return rows.map((row) => `${row.consumer} ${row.order_id}`).toSorted();
    },
  };
}

function logOf({ redis: { url, token } }: DevServer): LogStore {
  return upstashRedis(new Redis({ url, token }), { namespace: "shop" });
}

/** Waits until the log has nothing left to do. */
async function settled({ log }: Shop): Promise<void> {
  await vi.waitFor(async () => expect(await log.reader.counts()).toMatchObject({ unsettled: 0, held: 0, dead: 0 }), {
    timeout: 10_000,
    interval: 20,
  });
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
    const response = await shop.post("/orders");
    expect(response.status).toBe(201);
    const { orderId } = (await response.json()) as { orderId: string };
    await settled(shop);
    expect(await shop.effects()).toEqual([`receipt ${orderId}`, `stock ${orderId}`]);
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 2, attempts: 2, delivered: 2, failed: 0 });
  });

  test("many orders at once do not mix in one isolate", async () => {
    const shop = await startShop(flags);
    const responses = await Promise.all(Array.from({ length: 20 }, () => shop.post("/orders")));
    const placed = await Promise.all(responses.map(async (response) => (await response.json()) as { orderId: string }));
    await settled(shop);
    const expected = placed.flatMap(({ orderId }) => [`receipt ${orderId}`, `stock ${orderId}`]);
    expect(await shop.effects()).toEqual(expected.toSorted());
  });

  test("a refused order sends nothing", async () => {
    const shop = await startShop(flags);
    expect((await shop.post("/orders/refused")).status).toBe(402);
    await settled(shop);
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 0 });
  });

  test("an order that is there in spite of an error is sent, as the check finds it in D1", async () => {
    const shop = await startShop(flags);
    expect((await shop.post("/orders/throws")).status).toBe(500);
    await settled(shop);
    expect(await shop.effects()).toHaveLength(2);
  });

  test("a forged delivery gets 401 and has no effect", async () => {
    const shop = await startShop(flags);
    const forged = await shop.post("/consumers/receipt", "{}", { "upstash-signature": "e30.e30.e30" });
    expect(forged.status).toBe(401);
    expect((await shop.post("/consumers/receipt", "{}")).status).toBe(401);
    expect(await shop.effects()).toEqual([]);
  });

  test("an order whose client went away before the response is sent all the same", async () => {
    const shop = await startShop(flags);
    const held = shop.gate.hold();
    const client = request(`${shop.url}/orders`, { method: "POST", headers: { "content-type": "application/json" } });
    const gone = new Promise((resolve) => client.on("error", () => {}).once("close", resolve));
    client.end(order);
    await held;
    client.socket!.resetAndDestroy();
    await gone;
    // By the time it answers others, workerd knows that this client has gone.
    for (let i = 0; i < 5; i++) expect((await fetch(`${shop.url}/nothing`)).status).toBe(404);
    shop.gate.release();
    await vi.waitFor(async () => expect(await shop.effects()).toHaveLength(2), { timeout: 5_000, interval: 20 });
    await settled(shop);
  });

  test("the Cron Trigger sends what another isolate committed and did not live to send", async () => {
    const shop = await startShop(flags);
    const unused = new Client({ token: "unused", baseUrl: shop.dev.qstash.url });
    const { app } = createShop({
      orders: { insert: async () => {}, hasTransaction: async () => true, act: async () => {} },
      infrastructure: {
        publicUrl: shop.url,
        dev: true,
        log: shop.log,
        transport: { ...qstash({ client: unused, ...shop.dev.qstash }), publish: () => new Promise(() => {}) },
        observer: { event() {} },
        recovery: { longestRequest: 1, deadline: 2 },
      },
    });
    const response = await app.request("/orders", { method: "POST", body: order });
    expect(response.status).toBe(201);
    const { orderId } = (await response.json()) as { orderId: string };
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 0 });
    await vi.waitFor(
      async () => {
        await shop.scheduled();
        expect(await shop.effects()).toEqual([`receipt ${orderId}`, `stock ${orderId}`]);
      },
      { timeout: 10_000, interval: 20 },
    );
    await settled(shop);
    expect(shop.dev.qstash.engine.stats()).toMatchObject({ published: 2 });
  });
});
