/** The REST endpoint over the embedded engine, as the unmodified SDK and plain HTTP see it. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Redis } from "@upstash/redis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createRedisEngine, createRedisRest, fromText } from "../../../adapters/dev/redis/index.ts";

const TOKEN = "secret-token";
const READ_ONLY_TOKEN = "read-only-token";

const engine = createRedisEngine();
const handler = createRedisRest({ backend: engine, token: TOKEN, readOnlyToken: READ_ONLY_TOKEN });
const server = createAdaptorServer({ fetch: handler });
let url = "";
let redis: Redis;

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  redis = new Redis({ url, token: TOKEN });
});
afterAll(() => {
  server.close();
});
beforeEach(() => {
  engine.flushAll();
  engine.resetBilled();
});

describe("the SDK", () => {
  test("sets and gets texts, numbers and objects", async () => {
    expect(await redis.set("text", "value")).toBe("OK");
    await redis.set("number", 42);
    await redis.set("object", { a: [1, "zwei", null] });
    expect(await redis.get("text")).toBe("value");
    expect(await redis.get("number")).toBe(42);
    expect(await redis.get("object")).toEqual({ a: [1, "zwei", null] });
    expect(await redis.get("missing")).toBeNull();
  });

  test("passes the options of SET", async () => {
    expect(await redis.set("k", "first", { nx: true, ex: 100 })).toBe("OK");
    expect(await redis.set("k", "second", { nx: true })).toBeNull();
    expect(await redis.ttl("k")).toBe(100);
    expect(await redis.set("k", "third", { xx: true, get: true, keepTtl: true })).toBe("first");
    expect(await redis.ttl("k")).toBe(100);
    expect(await redis.getdel("k")).toBe("third");
  });

  test("keeps texts beyond ASCII, and values that read as a status", async () => {
    const texts = ["grüß ☃ 😀", "OK", "PONG", "\u0000\n\t", "a".repeat(100_000)];
    for (const text of texts) {
      await redis.set("k", text);
      expect(await redis.get("k")).toBe(text);
    }
    expect(await redis.mget(["k", "missing"])).toEqual([texts.at(-1), null]);
    expect(await redis.ping()).toBe("PONG");
    await redis.set("ключ", "значение");
    expect(await redis.keys("к*")).toEqual(["ключ"]);
    expect(await redis.strlen("ключ")).toBe(16);
  });

  test("sends what is asked in the same tick as one pipeline", async () => {
    await Promise.all(Array.from({ length: 50 }, (_, index) => redis.set(`k${index}`, index)));
    const values = await Promise.all(Array.from({ length: 50 }, (_, index) => redis.get(`k${index}`)));
    expect(values).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(engine.billed()).toEqual({ total: 100, byCommand: { SET: 50, GET: 50 } });
  });

  test("answers an explicit pipeline in order, with statuses, integers and nils", async () => {
    const pipeline = redis.pipeline().set("k", "v").incr("n").get("missing").get("k").del("k", "n");
    expect(await pipeline.exec()).toEqual(["OK", 1, null, "v", 2]);
  });

  test("names the command of a pipeline that failed and executes the others", async () => {
    const failing = redis.pipeline().set("k", "v").lpush("k", "x").set("after", 1);
    await expect(failing.exec()).rejects.toThrow(/Command 2 \[ lpush \] failed: WRONGTYPE/);
    expect(await redis.get("after")).toBe(1);
  });

  test("commits a transaction", async () => {
    expect(await redis.multi().set("a", 1).incr("a").get("a").exec()).toEqual(["OK", 2, 2]);
  });

  test("adds to sorted sets and reads them with scores", async () => {
    expect(await redis.zadd("z", { score: 1, member: "a" }, { score: 2.5, member: "b" })).toBe(2);
    expect(await redis.zadd("z", { nx: true }, { score: -1_700_000_000_123_456, member: "c" })).toBe(1);
    expect(await redis.zrange("z", 0, -1, { withScores: true })).toEqual([
      "c",
      -1_700_000_000_123_456,
      "a",
      1,
      "b",
      2.5,
    ]);
    expect(await redis.zrange("z", "-inf", "(2.5", { byScore: true, offset: 0, count: 1 })).toEqual(["c"]);
    expect(await redis.zscore("z", "b")).toBe(2.5);
    expect(await redis.zmscore("z", ["a", "missing"])).toEqual([1, null]);
  });

  test("reads hashes, sets and lists", async () => {
    await redis.hset("h", { field: "value", count: 2 });
    expect(await redis.hgetall("h")).toEqual({ field: "value", count: 2 });
    expect(await redis.hget("h", "missing")).toBeNull();
    await redis.sadd("s", "one", "two");
    expect((await redis.smembers("s")).sort()).toEqual(["one", "two"]);
    await redis.rpush("l", "a", "b", "c");
    expect(await redis.lrange("l", 0, -1)).toEqual(["a", "b", "c"]);
    expect(await redis.lpop("l", 2)).toEqual(["a", "b"]);
  });

  test("goes through all keys with SCAN", async () => {
    await Promise.all(Array.from({ length: 35 }, (_, index) => redis.set(`k${index}`, index)));
    const found = new Set<string>();
    let cursor = "0";
    do {
      const [next, keys] = await redis.scan(cursor, { match: "k*", count: 10 });
      for (const key of keys) found.add(key);
      cursor = next;
    } while (cursor !== "0");
    expect(found.size).toBe(35);
  });

  test("evaluates scripts, and falls back to EVAL if the script is not known", async () => {
    const script = redis.createScript<[string, number, null, [string]]>(
      "redis.call('SET', KEYS[1], ARGV[1]) return { redis.call('GET', KEYS[1]), 3.7, false, { 'n' } }",
    );
    await expect(redis.evalsha("0".repeat(40), [], [])).rejects.toThrow(/NOSCRIPT No matching script/);
    expect(await script.exec(["k"], ["grüß"])).toEqual(["grüß", 3, null, ["n"]]);
    expect(await script.exec(["k"], ["again"])).toEqual(["again", 3, null, ["n"]]);
    expect(engine.billed().byCommand).toMatchObject({ EVALSHA: 3, EVAL: 1, SET: 2, GET: 2 });
    expect(await redis.eval("return redis.call('SET', KEYS[1], ARGV[1])", ["k"], ["v"])).toBe("OK");
  });

  test("throws with Redis' text and the command", async () => {
    await redis.set("k", "text");
    await expect(redis.incr("k")).rejects.toThrow(/ERR value is not an integer or out of range/);
    await expect(redis.eval("return redis.call('INCR', KEYS[1])", ["k"], [])).rejects.toThrow(
      /ERR value is not an integer or out of range script: [0-9a-f]{40}, on @user_script:1\./,
    );
  });

  test("is refused with another token", async () => {
    const stranger = new Redis({ url, token: "other" });
    await expect(stranger.get("k")).rejects.toThrow(/WRONGPASS/);
  });
});

describe("over plain HTTP", () => {
  interface Sent {
    readonly method?: string;
    readonly body?: string | Uint8Array<ArrayBuffer>;
    readonly headers?: Record<string, string>;
    readonly token?: string;
  }
  const send = (path: string, { token = TOKEN, headers = {}, ...init }: Sent = {}): Promise<Response> =>
    handler(
      new Request(`http://localhost${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...headers } }),
    );
  const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    send(path, { method: "POST", body: JSON.stringify(body), headers });
  const answer = async (response: Promise<Response>): Promise<unknown> => {
    const answered = await response;
    return [answered.status, await answered.json()];
  };

  test("a command is a JSON array, whose numbers and booleans become texts", async () => {
    expect(await answer(post("/", ["SET", "k", 1.5, "EX", 100]))).toEqual([200, { result: "OK" }]);
    expect(await answer(post("/", ["APPEND", "k", true]))).toEqual([200, { result: 7 }]);
    expect(await answer(post("/", ["GET", "k"]))).toEqual([200, { result: "1.5true" }]);
  });

  test("a command is a path whose segments are decoded", async () => {
    expect(await answer(send("/set/a%2Fb/gr%C3%BC%C3%9F"))).toEqual([200, { result: "OK" }]);
    expect(await answer(send("/get/a%2Fb"))).toEqual([200, { result: "grüß" }]);
    expect(await answer(send("/get/%E0%A4%A"))).toMatchObject([
      400,
      { error: expect.stringContaining("ERR invalid path") },
    ]);
  });

  test("a body is the last word of a path, and the query comes after it", async () => {
    const set = send("/set/k?EX=100&NX", { method: "PUT", body: "the body" });
    expect(await answer(set)).toEqual([200, { result: "OK" }]);
    expect(await answer(send("/get/k", { method: "POST" }))).toEqual([200, { result: "the body" }]);
    expect(await answer(send("/ttl/k"))).toEqual([200, { result: 100 }]);
  });

  test("a binary body is kept byte by byte", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    await send("/set/k", { method: "POST", body: bytes });
    const response = await send("/get/k", { headers: { "upstash-encoding": "base64" } });
    const { result } = (await response.json()) as { result: string };
    expect(Uint8Array.from(atob(result), (character) => character.charCodeAt(0))).toEqual(bytes);
    expect(engine.execute(["STRLEN", "k"])).toBe(256);
  });

  test("HEAD executes and answers without a body", async () => {
    const response = await send("/incr/n", { method: "HEAD" });
    expect([response.status, await response.text()]).toEqual([200, ""]);
    expect(engine.execute(["GET", "n"])).toBe("1");
  });

  test("base64 encodes all strings, nested ones too, but no integers, nils, errors or the status OK", async () => {
    const base64 = { "upstash-encoding": "base64" };
    expect(await answer(post("/", ["SET", "k", "OK"], base64))).toEqual([200, { result: "OK" }]);
    expect(await answer(post("/", ["GET", "k"], base64))).toEqual([200, { result: "T0s=" }]);
    expect(await answer(post("/", ["PING"], base64))).toEqual([200, { result: btoa("PONG") }]);
    const nested = post("/", ["EVAL", "return {1, 'a', false, {'b'}}", 0], base64);
    expect(await answer(nested)).toEqual([200, { result: [1, btoa("a"), null, [btoa("b")]] }]);
    expect(await answer(post("/", ["INCR", "k"], base64))).toEqual([
      400,
      { error: "ERR value is not an integer or out of range" },
    ]);
  });

  test("a pipeline answers 200 with an error in its place", async () => {
    const response = post("/pipeline", [["SET", "k", "v"], ["NOSUCH", "x"], ["GET"], ["GET", "k"]]);
    expect(await answer(response)).toEqual([
      200,
      [
        { result: "OK" },
        { error: "ERR unknown command 'NOSUCH', with args beginning with: 'x' " },
        { error: "ERR wrong number of arguments for 'get' command" },
        { result: "v" },
      ],
    ]);
  });

  test("a transaction with a malformed command changes nothing", async () => {
    const response = post("/multi-exec", [["SET", "k", "v"], ["GET"]]);
    expect(await answer(response)).toEqual([
      400,
      { error: "EXECABORT Transaction discarded because of previous errors." },
    ]);
    expect(engine.execute(["EXISTS", "k"])).toBe(0);
    expect(
      await answer(
        post("/multi-exec", [
          ["SET", "k", "v"],
          ["INCR", "k"],
          ["GET", "k"],
        ]),
      ),
    ).toEqual([200, [{ result: "OK" }, { error: "ERR value is not an integer or out of range" }, { result: "v" }]]);
  });

  test("a request without a valid token is 401", async () => {
    const wrongPass = [401, { error: "WRONGPASS invalid or missing auth token" }];
    expect(await answer(handler(new Request("http://localhost/get/k")))).toEqual(wrongPass);
    expect(await answer(send("/get/k", { token: "secret-tokem" }))).toEqual(wrongPass);
    expect(await answer(handler(new Request("http://localhost/get/k?_token=")))).toEqual(wrongPass);
    const byQuery = handler(new Request(`http://localhost/set/k/v?_token=${TOKEN}`));
    expect(await answer(byQuery)).toEqual([200, { result: "OK" }]);
  });

  test("the read-only token reads, and writes nothing", async () => {
    engine.execute(["SET", "k", "v"]);
    expect(await answer(send("/get/k", { token: READ_ONLY_TOKEN }))).toEqual([200, { result: "v" }]);
    for (const command of ["set/k/w", "del/k", "eval/return%201/0", "flushall", "nosuch"]) {
      expect(await answer(send(`/${command}`, { token: READ_ONLY_TOKEN }))).toMatchObject([
        400,
        { error: expect.stringContaining("NOPERM") },
      ]);
    }
    expect(engine.execute(["GET", "k"])).toBe("v");
  });

  test("the sync token changes with every write and with nothing else", async () => {
    const tokenAfter = async (...command: string[]): Promise<string | null> =>
      (await post("/", command)).headers.get("upstash-sync-token");
    const tokens = [
      await tokenAfter("SET", "k", "v"),
      await tokenAfter("SET", "k", "w"),
      await tokenAfter("EVAL", "return 1", "0"),
    ];
    expect(new Set(tokens).size).toBe(3);
    expect(tokens).not.toContain(null);
    expect(await tokenAfter("GET", "k")).toBe(tokens[2]);
    expect(await tokenAfter("PING")).toBe(tokens[2]);
  });

  test("what is no command is 400 with a reason", async () => {
    const bodies = ["", "{", '"GET"', "{}", "[]", '[["GET","k"]]', '["GET",null]', '["GET",{"a":1}]'];
    for (const body of bodies) {
      expect(await answer(send("/", { method: "POST", body }))).toMatchObject([
        400,
        { error: expect.stringMatching(/^ERR (failed to parse JSON|expected|empty)/) },
      ]);
    }
    expect(await answer(post("/pipeline", ["GET", "k"]))).toMatchObject([400, {}]);
    expect(await answer(send("/"))).toEqual([400, { error: "ERR empty command" }]);
    expect(await answer(send("/get/k", { headers: { "upstash-response-format": "resp2" } }))).toMatchObject([400, {}]);
    expect(await answer(send("/get/k", { method: "DELETE" }))).toEqual([405, { error: "ERR method not allowed" }]);
  });

  test("commands that wait or need a connection are not available", async () => {
    const commands = [["BLPOP", "l", 0], ["subscribe", "c"], ["WATCH", "k"], ["MULTI"], ["CONFIG", "GET", "*"]];
    for (const command of [...commands, ["XREAD", "BLOCK", 0, "STREAMS", "s", "0"]]) {
      expect(await answer(post("/", command))).toMatchObject([
        400,
        { error: expect.stringContaining("not available") },
      ]);
    }
    expect(await answer(post("/", ["SELECT", 0]))).toEqual([200, { result: "OK" }]);
    expect(await answer(post("/", ["SELECT", 1]))).toMatchObject([
      400,
      { error: expect.stringContaining("0th database") },
    ]);
    expect(
      await answer(
        post("/multi-exec", [
          ["SET", "k", "v"],
          ["WATCH", "k"],
        ]),
      ),
    ).toMatchObject([400, { error: expect.stringContaining("EXECABORT") }]);
  });

  test("a body above 10 MB is refused by what arrives, not by what the header says", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++;
        controller.enqueue(chunk);
      },
    });
    const request = new Request("http://localhost/", {
      method: "POST",
      body,
      headers: { authorization: `Bearer ${TOKEN}`, "content-length": "5" },
      duplex: "half",
    });
    expect(await answer(handler(request))).toEqual([
      400,
      { error: `ERR max request size exceeded. Limit: 10485760 bytes, Actual: ${11 * 1024 * 1024} bytes` },
    ]);
    expect(sent).toBeLessThan(15);
  });

  test("a value that is no UTF-8 does not break the JSON", async () => {
    engine.execute(["SET", "k", "\xff\xfe"]);
    expect(await answer(send("/get/k"))).toEqual([200, { result: "\ufffd\ufffd" }]);
    engine.execute(["SET", "k", fromText("ü")]);
    expect(await answer(send("/get/k"))).toEqual([200, { result: "ü" }]);
  });
});
