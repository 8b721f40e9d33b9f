import { Cluster, Redis } from "ioredis";
import { Miniflare } from "miniflare";
import { createClient, createCluster } from "redis";
import { afterAll, describe, expect, test } from "vitest";
import { r2Payloads } from "../../adapters/cloudflare/r2-payload-store.ts";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import { redisExecutor, redisPayloads } from "../../adapters/redis/index.ts";
import { upstashPayloads } from "../../adapters/upstash-redis/index.ts";
import { memoryPayloadStore, payloadStoreContract, simulatedClock } from "../../src/testing/index.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { wait } from "../support/redis-store-under-test.ts";
import { serveUpstash } from "../support/upstash-endpoint.ts";

let namespaces = 0;
const freshNamespace = () => ({ namespace: `payloads-${++namespaces}` });
const dispose = async () => undefined;

describe("the payload store in memory", () => {
  payloadStoreContract({ test }, async () => {
    const clock = simulatedClock();
    return { store: memoryPayloadStore({ clock }), advance: (millis) => clock.advance(millis), dispose };
  });
});

const clock = simulatedClock();
const upstash = await serveUpstash(createRedisEngine({ now: clock.now }));
afterAll(() => upstash.close());

describe("the payload store on Upstash Redis, over HTTP", () => {
  payloadStoreContract({ test }, async () => ({
    store: upstashPayloads(upstash.client, freshNamespace()),
    advance: (millis) => clock.advance(millis),
    dispose,
  }));
});

const server = await startRedisServer();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const ioRedis = new Redis(url, { lazyConnect: true });
const nodeRedis = createClient({ url });
afterAll(async () => {
  ioRedis.disconnect();
  if (nodeRedis.isOpen) nodeRedis.destroy();
  await server?.stop();
});

describe.skipIf(server === undefined)("the payload store on a real Redis, through ioredis", () => {
  payloadStoreContract({ test }, async () => ({
    store: redisPayloads(ioRedis, freshNamespace()),
    advance: wait,
    dispose,
  }));

  test("keeps nothing without a time to live", async () => {
    const options = freshNamespace();
    await redisPayloads(ioRedis, options).put("key", "text", 60_000);
    const execute = redisExecutor(ioRedis).execute;
    const key = `{${options.namespace}:key}:payload`;
    const left = Number(await execute(["PTTL", key]));
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
  });
});

describe.skipIf(server === undefined)("the payload store on a real Redis, through node-redis", () => {
  payloadStoreContract({ test }, async () => {
    if (!nodeRedis.isOpen) await nodeRedis.connect();
    return { store: redisPayloads(nodeRedis, freshNamespace()), advance: wait, dispose };
  });
});

const cluster = await startRedisCluster();
const ioCluster = new Cluster([{ host: "127.0.0.1", port: cluster?.port ?? 0 }], { lazyConnect: true });
const nodeCluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${cluster?.port ?? 0}` }] });
afterAll(async () => {
  ioCluster.disconnect();
  if (nodeCluster.isOpen) nodeCluster.destroy();
  await cluster?.stop();
});

describe.skipIf(cluster === undefined)("the payload store on a Redis Cluster, through ioredis", () => {
  payloadStoreContract({ test }, async () => ({
    store: redisPayloads(ioCluster, freshNamespace()),
    advance: wait,
    dispose,
  }));
});

describe.skipIf(cluster === undefined)("the payload store on a Redis Cluster, through node-redis", () => {
  payloadStoreContract({ test }, async () => {
    if (!nodeCluster.isOpen) await nodeCluster.connect();
    return { store: redisPayloads(nodeCluster, freshNamespace()), advance: wait, dispose };
  });
});

const miniflare = new Miniflare({
  modules: true,
  script: "export default { fetch: () => new Response() }",
  r2Buckets: ["PAYLOADS"],
});
const bucket = await miniflare.getR2Bucket("PAYLOADS");
afterAll(() => miniflare.dispose());

describe("the payload store in R2", () => {
  let prefixes = 0;
  payloadStoreContract(
    { test },
    async () => ({
      store: r2Payloads(bucket, { prefix: `test-${++prefixes}/`, keeps: "90d" }),
      advance: wait,
      dispose,
    }),
    { ends: false },
  );

  test("says how long the bucket's rule keeps what is under the prefix, and nothing without one", () => {
    expect(r2Payloads(bucket, { keeps: "90d" }).keepsMillis).toBe(90 * 86_400_000);
    expect(r2Payloads(bucket)).not.toHaveProperty("keepsMillis");
    expect(() => r2Payloads(bucket, { keeps: "90 days" })).toThrow(/r2Payloads\.keeps/);
  });

  test("lies under its prefix", async () => {
    await r2Payloads(bucket).put("key", "text", 1);
    expect((await bucket.list({ prefix: "aftercommit/" })).objects.map(({ key }) => key)).toEqual(["aftercommit/key"]);
  });
});
