import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, describe, test } from "vitest";
import { redis, redisExecutor } from "../../adapters/redis/index.ts";
import { logStoreContract } from "../../src/testing/index.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { redisStoreUnderTest, wait } from "../support/redis-store-under-test.ts";

const server = await startRedisServer();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const ioRedis = new Redis(url, { lazyConnect: true });
const nodeRedis = createClient({ url });
const nodeRedis2 = createClient({ url, RESP: 2 });

afterAll(async () => {
  ioRedis.disconnect();
  for (const client of [nodeRedis, nodeRedis2]) if (client.isOpen) client.destroy();
  await server?.stop();
});

const admin = redisExecutor(ioRedis);

describe.skipIf(server === undefined)("the Redis store on a real server, through ioredis", () => {
  logStoreContract({ test }, () =>
    redisStoreUnderTest({ store: (options) => redis(ioRedis, options), admin, advance: wait }),
  );
});

describe.skipIf(server === undefined)("the Redis store on a real server, through node-redis", () => {
  logStoreContract({ test }, async () => {
    if (!nodeRedis.isOpen) await nodeRedis.connect();
    return redisStoreUnderTest({ store: (options) => redis(nodeRedis, options), admin, advance: wait });
  });
});

describe.skipIf(server === undefined)("the Redis store with four shards, through node-redis with RESP 2", () => {
  logStoreContract({ test }, async () => {
    if (!nodeRedis2.isOpen) await nodeRedis2.connect();
    return redisStoreUnderTest({ store: (options) => redis(nodeRedis2, options), admin, advance: wait, shards: 4 });
  });
});
