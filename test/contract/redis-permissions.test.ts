import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { redis, redisExecutor } from "../../adapters/redis/index.ts";
import { logStoreContract } from "../../src/testing/index.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { redisStoreUnderTest, wait } from "../support/redis-store-under-test.ts";

/** The permissions that the documentation recommends, on a real server: enough for the whole contract, and no more. */
const [, rule = ""] = /^(ACL SETUSER .*)$/m.exec(readFileSync("docs/redis.md", "utf8")) ?? [];
const server = await startRedisServer();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const root = new Redis(url, { lazyConnect: true });
const limited = new Redis(url, {
  lazyConnect: true,
  username: "aftercommit",
  password: "PASSWORD",
  enableReadyCheck: false,
});

afterAll(async () => {
  root.disconnect();
  limited.disconnect();
  await server?.stop();
});

describe.skipIf(server === undefined)("a user with the documented permissions", () => {
  const permit = () => redisExecutor(root).execute(rule.replace("{shop:*}", "{test-*:*}").split(" "));

  logStoreContract({ test }, async () => {
    await permit();
    return redisStoreUnderTest({
      store: (options) => redis(limited, options),
      admin: redisExecutor(root),
      advance: wait,
    });
  });

  test("reaches no other key and no other command", async () => {
    await permit();
    await expect(limited.call("GET", "{other:0}:due")).rejects.toThrow(/NOPERM/);
    await expect(limited.call("KEYS", "*")).rejects.toThrow(/NOPERM/);
    await expect(limited.call("FLUSHALL")).rejects.toThrow(/NOPERM/);
  });
});
