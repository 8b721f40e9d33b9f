import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { afterAll, describe, expect, test } from "vitest";
import { redis, redisExecutor } from "../../adapters/redis/index.ts";
import { logStoreContract } from "../../src/testing/index.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { redisStoreUnderTest, wait } from "../support/redis-store-under-test.ts";

const cluster = await startRedisCluster();
const port = cluster?.port ?? 0;
const ioRedis = new Cluster([{ host: "127.0.0.1", port }], { lazyConnect: true });
const nodeRedis = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] });

afterAll(async () => {
  ioRedis.disconnect();
  if (nodeRedis.isOpen) nodeRedis.destroy();
  await cluster?.stop();
});

const admin = redisExecutor(ioRedis);

describe.skipIf(cluster === undefined)("a Redis Cluster", () => {
  test("refuses a command whose keys lie in several slots", async () => {
    await expect(admin.execute(["MGET", "one", "two"])).rejects.toThrow(/CROSSSLOT/);
  });
});

describe.skipIf(cluster === undefined)("the Redis store with four shards on a cluster, through ioredis", () => {
  logStoreContract({ test }, () =>
    redisStoreUnderTest({ store: (options) => redis(ioRedis, options), admin, advance: wait, shards: 4 }),
  );
});

describe.skipIf(cluster === undefined)("the Redis store with four shards on a cluster, through node-redis", () => {
  logStoreContract({ test }, async () => {
    if (!nodeRedis.isOpen) await nodeRedis.connect();
    return redisStoreUnderTest({ store: (options) => redis(nodeRedis, options), admin, advance: wait, shards: 4 });
  });
});
