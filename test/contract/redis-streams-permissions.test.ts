import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RetryableError } from "aftercommit";
import { redisExecutor } from "../../adapters/redis/index.ts";
import { pull, redisStreams } from "../../adapters/redis-streams/index.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { orderPaid, PUBLIC_URL, world } from "../support/world.ts";

/** The permissions that the documentation recommends, on a real server: enough for transport and workers, and no more. */
const [, rule = ""] = /^(ACL SETUSER .*)$/m.exec(readFileSync("docs/pull.md", "utf8")) ?? [];
const server = await startRedisServer();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const root = new Redis(url, { lazyConnect: true });
const limited = new Redis(url, {
  lazyConnect: true,
  username: "streams",
  password: "PASSWORD",
  enableReadyCheck: false,
});

afterAll(async () => {
  root.disconnect();
  limited.disconnect();
  await server?.stop();
});

describe.skipIf(server === undefined)("a user with the documented permissions", () => {
  test("publishes, fetches, puts back, takes what was left, tidies up", async () => {
    await redisExecutor(root).execute(rule.split(" "));
    const w = world();
    const { ac, app } = w.service({
      transport: redisStreams(limited, { channels: ["orders"], namespace: "shop", clock: w.clock }),
      routes: { [orderPaid.name]: "stream:orders/receipt" },
    });
    app.post("/orders", ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      await c.var.tx.publish(orderPaid, { orderId: "o-2" }, { delay: "1ms" });
      return c.text("ok");
    });
    let runs = 0;
    ac.subscribe(orderPaid, "receipt", async () => {
      if (++runs <= 2) throw new RetryableError("again", { retryAfter: runs - 1 });
      // Long enough for a sign of life.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    });
    await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
    await ac.drain();
    const options = { from: "stream:orders/receipt", namespace: "shop", visibility: "3s", worker: "one" };
    const key = "{shop:stream:orders}:receipt";
    const ending = new AbortController();
    await redisExecutor(root).execute(["XGROUP", "CREATE", key, "workers", "0", "MKSTREAM"]);
    await redisExecutor(root).execute(["XADD", key, "*", "f", "v"]);
    await root.xreadgroup("GROUP", "workers", "gone", "STREAMS", key, ">");
    await root.call("XCLAIM", key, "workers", "gone", "0", (await root.xrange(key, "-", "+"))[0]![0], "IDLE", "10000");
    await root.call("XGROUP", "CREATECONSUMER", key, "workers", "old");
    const puller = pull(ac, limited, options);
    const running = puller.run({ signal: ending.signal });
    await expect.poll(() => puller.backlog(), { timeout: 20_000 }).toEqual({ ready: 0, pending: 0, later: 0 });
    ending.abort();
    await running;
    expect(runs).toBe(4);
    expect(w.of("background")).toEqual([]);
    const consumers = (await root.xinfo("CONSUMERS", key, "workers")) as string[][];
    expect(consumers.map(([, name]) => name)).not.toContain("one");
  });

  test("reaches no other key and no other command", async () => {
    await redisExecutor(root).execute(rule.split(" "));
    await expect(limited.call("XLEN", "{shop:0}:due")).rejects.toThrow(/NOPERM/);
    await expect(limited.call("XTRIM", "{shop:stream:orders}:receipt", "MAXLEN", "0")).rejects.toThrow(/NOPERM/);
    await expect(limited.call("XGROUP", "DESTROY", "{shop:stream:orders}:receipt", "workers")).rejects.toThrow(
      /NOPERM/,
    );
    await expect(limited.call("KEYS", "*")).rejects.toThrow(/NOPERM/);
  });
});
