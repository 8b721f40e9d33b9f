import { describe, expect, test } from "vitest";
import {
  createRedisEngine,
  fromText,
  isRedisArray,
  type RedisEngine,
  type RedisReply,
  toText,
} from "../../../adapters/dev/redis/index.ts";

function textOf(reply: RedisReply): string {
  if (typeof reply !== "string") throw new TypeError("expected a bulk string");
  return reply;
}

/** An engine whose clock stands until it is moved. */
function createStillEngine(startMillis = 1_700_000_000_000): { engine: RedisEngine; advance(millis: number): void } {
  let nowMillis = startMillis;
  return {
    engine: createRedisEngine({ now: () => nowMillis }),
    advance(millis) {
      nowMillis += millis;
    },
  };
}

describe("time in the embedded Redis", () => {
  test("a key lives through its last millisecond and is gone in the next", () => {
    const { engine, advance } = createStillEngine();
    engine.execute(["SET", "k", "v", "PX", "100"]);
    advance(100);
    expect(engine.execute(["GET", "k"])).toBe("v");
    expect(engine.execute(["PTTL", "k"])).toBe(0);
    advance(1);
    expect(engine.execute(["GET", "k"])).toBeNull();
    expect(engine.execute(["PTTL", "k"])).toBe(-2);
  });

  test("an expired key counts for no reader: DBSIZE, KEYS, SCAN, RANDOMKEY, RENAME, NX", () => {
    const { engine, advance } = createStillEngine();
    engine.execute(["SET", "k", "v", "PX", "100"]);
    advance(200);
    expect(engine.execute(["DBSIZE"])).toBe(0);
    expect(engine.execute(["KEYS", "*"])).toEqual([]);
    expect(engine.execute(["SCAN", "0"])).toEqual(["0", []]);
    expect(engine.execute(["RANDOMKEY"])).toBeNull();
    expect(engine.execute(["RENAME", "k", "l"])).toEqual({ error: "ERR no such key" });
    expect(engine.execute(["SET", "k", "w", "NX"])).toEqual({ status: "OK" });
    expect(engine.execute(["TTL", "k"])).toBe(-1);
  });

  test("TIME is the injected clock in seconds and microseconds", () => {
    const engine = createRedisEngine({ now: () => 1_700_000_000_123.456 });
    expect(engine.execute(["TIME"])).toEqual(["1700000000", "123456"]);
    const micros = "local t = redis.call('TIME') return string.format('%.0f', t[1] * 1000000 + t[2])";
    expect(engine.execute(["EVAL", micros, "0"])).toBe("1700000000123456");
  });

  test("no key expires while a script runs, though its clock goes on", () => {
    let nowMillis = 1000;
    const engine = createRedisEngine({ now: () => nowMillis++ });
    engine.execute(["SET", "k", "v", "PX", "5"]);
    const script = "for i = 1, 100 do redis.call('TIME') end return redis.call('GET', KEYS[1])";
    expect(engine.execute(["EVAL", script, "1", "k"])).toBe("v");
    expect(engine.execute(["GET", "k"])).toBeNull();
  });

  test("the system's clock is the default, and rises within a millisecond", () => {
    const engine = createRedisEngine();
    const readMicros = (): number => {
      const reply = engine.execute(["TIME"]);
      const [seconds, micros] = isRedisArray(reply) ? reply : [];
      return Number(seconds) * 1_000_000 + Number(micros);
    };
    const readings = Array.from({ length: 1000 }, readMicros);
    expect(readings).toEqual([...readings].sort((left, right) => left - right));
    expect(Math.abs(readings[0]! / 1000 - Date.now())).toBeLessThan(1000);
  });
});

describe("a failover of the embedded Redis", () => {
  test("puts every type back as it was, with expiry times", () => {
    const { engine, advance } = createStillEngine();
    const fill = [
      ["SET", "string", "old", "PX", "1000"],
      ["HSET", "hash", "f", "old"],
      ["SADD", "set", "old"],
      ["RPUSH", "list", "old"],
      ["ZADD", "zset", "1", "old"],
    ];
    for (const command of fill) engine.execute(command);
    const snapshot = engine.snapshot();
    const change = [
      ["SET", "string", "new"],
      ["HSET", "hash", "f", "new"],
      ["SADD", "set", "new"],
      ["RPUSH", "list", "new"],
      ["ZADD", "zset", "5", "old", "2", "new"],
      ["SET", "fresh", "new"],
    ];
    const read = (): unknown[] =>
      [
        ["GET", "string"],
        ["PTTL", "string"],
        ["HGETALL", "hash"],
        ["SMEMBERS", "set"],
        ["LRANGE", "list", "0", "-1"],
        ["ZRANGE", "zset", "0", "-1", "WITHSCORES"],
        ["EXISTS", "fresh"],
      ].map((command) => engine.execute(command));
    const before = read();
    for (let round = 0; round < 2; round++) {
      for (const command of change) engine.execute(command);
      expect(read()).not.toEqual(before);
      engine.restore(snapshot);
      expect(read()).toEqual(before);
    }
    advance(1001);
    engine.restore(snapshot);
    expect(engine.execute(["EXISTS", "string"])).toBe(0);
  });

  test("hands the keys to another engine, which shares nothing with the first", () => {
    const [first, second] = [createRedisEngine(), createRedisEngine()];
    first.execute(["ZADD", "z", "1", "a"]);
    second.restore(first.snapshot());
    second.execute(["ZADD", "z", "2", "b"]);
    expect(first.execute(["ZCARD", "z"])).toBe(1);
    expect(second.execute(["ZRANGE", "z", "0", "-1"])).toEqual(["a", "b"]);
  });

  test("flushAll deletes the keys and keeps the scripts", () => {
    const engine = createRedisEngine();
    const sha1 = textOf(engine.execute(["SCRIPT", "LOAD", "return 1"]));
    engine.execute(["SET", "k", "v"]);
    engine.flushAll();
    expect(engine.execute(["DBSIZE"])).toBe(0);
    expect(engine.execute(["EVALSHA", sha1, "0"])).toBe(1);
  });
});

describe("scripts of the embedded Redis", () => {
  test("may touch the keys in KEYS only, if they allow key locking", () => {
    const engine = createRedisEngine();
    const script = (key: string): string => `#!lua flags=allow-key-locking\nreturn redis.call('SET', ${key}, 'v')`;
    expect(engine.execute(["EVAL", script("KEYS[1]"), "1", "k"])).toEqual({ status: "OK" });
    expect(engine.execute(["EVAL", script("'other'"), "1", "k"])).toMatchObject({
      error: expect.stringMatching(
        /^ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking' flag is set\. Key was: other/,
      ),
    });
    expect(engine.execute(["EVAL", script("ARGV[1]").replace(/^.*\n/, ""), "0", "free"])).toEqual({ status: "OK" });
  });

  test("leave nothing behind: neither globals nor changes to libraries nor a broken stack", () => {
    const engine = createRedisEngine();
    const attempts = [
      "leak = 1",
      "string.leak = 1",
      "rawset(table, 'leak', 1)",
      "getmetatable(_G).__index = nil",
      "getmetatable('').__index = nil",
      "error('x')",
    ];
    for (const attempt of attempts) engine.execute(["EVAL", `pcall(function() ${attempt} end) return 1`, "0"]);
    for (let run = 0; run < 1000; run++) engine.execute(["EVAL", "error({ err = 'MY error' })", "0"]);
    const probe = "return { pcall(function() return leak end), tostring(string.leak), tostring(table.leak), #KEYS }";
    expect(engine.execute(["EVAL", probe, "0", "a"])).toEqual([null, "nil", "nil", 0]);
  });

  test("answer an error to recursion without end, and the next script runs", () => {
    const engine = createRedisEngine();
    const reply = engine.execute(["EVAL", "local function f() return 1 + f() end return f()", "0"]);
    expect(reply).toMatchObject({ error: expect.stringMatching(/^ERR .*stack/i) });
    expect(engine.execute(["EVAL", "return 1", "0"])).toBe(1);
  });

  test("keep bytes as they are", () => {
    const engine = createRedisEngine();
    const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, index) => index));
    engine.execute(["EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "k", bytes]);
    expect(engine.execute(["EVAL", "return redis.call('GET', KEYS[1])", "1", "k"])).toBe(bytes);
    expect(engine.execute(["EVAL", "return #ARGV[1]", "0", bytes])).toBe(256);
  });

  test("run on engines that do not disturb one another", () => {
    const [left, right] = [createRedisEngine(), createRedisEngine()];
    left.execute(["EVAL", "return redis.call('SET', KEYS[1], 'left')", "1", "k"]);
    right.execute(["EVAL", "return redis.call('SET', KEYS[1], 'right')", "1", "k"]);
    expect([left.execute(["GET", "k"]), right.execute(["GET", "k"])]).toEqual(["left", "right"]);
  });
});

describe("texts in the embedded Redis", () => {
  test("are byte strings, which text converts to and from", () => {
    const engine = createRedisEngine();
    engine.execute(["SET", "k", fromText("grüß ☃ 😀")]);
    const bytes = textOf(engine.execute(["GET", "k"]));
    expect(toText(bytes)).toBe("grüß ☃ 😀");
    expect(engine.execute(["STRLEN", "k"])).toBe(15);
  });

  test("that are none are a mistake of the caller's", () => {
    expect(() => createRedisEngine().execute(["SET", "k", "☃"])).toThrow(TypeError);
  });
});
