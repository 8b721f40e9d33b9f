import { describe, expect, test } from "vitest";
import { createRedisEngine, createRedisRest } from "../../../adapters/dev/redis/index.ts";

describe("Upstash's bill for the embedded Redis", () => {
  test("has one item a command, and none for PING and INFO", () => {
    const engine = createRedisEngine();
    engine.execute(["SET", "k", "v"]);
    engine.execute(["get", "k"]);
    engine.execute(["MGET", "a", "b", "c"]);
    engine.execute(["PING"]);
    engine.execute(["INFO"]);
    expect(engine.billed()).toEqual({ total: 3, byCommand: { SET: 1, GET: 1, MGET: 1 } });
  });

  test("has a command that fails, but none that is unknown or malformed", () => {
    const engine = createRedisEngine();
    engine.execute(["SET", "k", "v"]);
    engine.execute(["INCR", "k"]);
    engine.execute(["NOSUCH"]);
    engine.execute(["GET"]);
    expect(engine.billed()).toEqual({ total: 2, byCommand: { SET: 1, INCR: 1 } });
  });

  test("has a script and each command inside it: a rate limiter's first hit is three", () => {
    const engine = createRedisEngine();
    const limit =
      "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n";
    engine.execute(["EVAL", limit, "1", "k", "1000"]);
    expect(engine.billed()).toEqual({ total: 3, byCommand: { EVAL: 1, INCR: 1, PEXPIRE: 1 } });
    engine.execute(["EVAL", limit, "1", "k", "1000"]);
    expect(engine.billed().total).toBe(5);
  });

  test("has a failed EVALSHA, and what a script did before it failed", () => {
    const engine = createRedisEngine();
    engine.execute(["EVALSHA", "0".repeat(40), "0"]);
    engine.execute([
      "EVAL",
      "redis.call('SET', KEYS[1], 'v') redis.call('NOSUCH') redis.call('GET', KEYS[1])",
      "1",
      "k",
    ]);
    expect(engine.billed()).toEqual({ total: 3, byCommand: { EVALSHA: 1, EVAL: 1, SET: 1 } });
  });

  test("has every command of a pipeline and of a transaction, and nothing for the transaction itself", async () => {
    const engine = createRedisEngine();
    const rest = createRedisRest({ backend: engine, token: "t" });
    const post = (path: string, body: unknown): Promise<Response> =>
      rest(new Request(`http://localhost${path}?_token=t`, { method: "POST", body: JSON.stringify(body) }));
    await post("/pipeline", [
      ["SET", "a", 1],
      ["GET", "a"],
    ]);
    await post("/multi-exec", [
      ["SET", "b", 1],
      ["GET", "b"],
      ["DEL", "b"],
    ]);
    expect(engine.billed()).toEqual({ total: 5, byCommand: { SET: 2, GET: 2, DEL: 1 } });
  });

  test("has nothing for a transaction that was discarded", () => {
    const engine = createRedisEngine();
    engine.transaction([["SET", "k", "v"], ["GET"]]);
    expect(engine.billed().total).toBe(0);
  });

  test("starts anew after a reset", () => {
    const engine = createRedisEngine();
    engine.execute(["SET", "k", "v"]);
    engine.resetBilled();
    expect(engine.billed()).toEqual({ total: 0, byCommand: {} });
  });
});
