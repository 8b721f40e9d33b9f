import { afterAll, describe, test } from "vitest";
import { connectRedisServer } from "../../adapters/dev/redis/index.ts";
import { upstashRedis } from "../../adapters/upstash-redis/index.ts";
import { logStoreContract } from "../../src/testing/index.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { redisStoreUnderTest, wait } from "../support/redis-store-under-test.ts";
import { backendExecutor, serveUpstash } from "../support/upstash-endpoint.ts";

const server = await startRedisServer();
const backend = server && (await connectRedisServer({ host: "127.0.0.1", port: server.port }));
const endpoint = backend && (await serveUpstash(backend));

afterAll(async () => {
  await endpoint?.close();
  await backend?.close();
  await server?.stop();
});

describe.skipIf(endpoint === undefined)("the Upstash store, on a real server over HTTP", () => {
  logStoreContract({ test }, () =>
    redisStoreUnderTest({
      store: (options) => upstashRedis(endpoint!.client, options),
      admin: backendExecutor(backend!),
      advance: wait,
    }),
  );
});
