import { afterAll, describe, test } from "vitest";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import { upstashRedis } from "../../adapters/upstash-redis/index.ts";
import { logStoreContract, simulatedClock } from "../../src/testing/index.ts";
import { redisStoreUnderTest } from "../support/redis-store-under-test.ts";
import { backendExecutor, serveUpstash } from "../support/upstash-endpoint.ts";

const clock = simulatedClock();
const engine = createRedisEngine({ now: clock.now });
const { client, close } = await serveUpstash(engine);

afterAll(close);

for (const shards of [1, 4]) {
  describe(`the Upstash store with shards: ${shards}, on the embedded Redis over HTTP`, () => {
    logStoreContract({ test }, () =>
      redisStoreUnderTest({
        store: (options) => upstashRedis(client, options),
        admin: backendExecutor(engine),
        advance: (millis) => clock.advance(millis),
        shards,
      }),
    );
  });
}
