/**
 * The streams of the embedded Redis against those of a real `redis-server`, reply by reply.
 */
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { connectRedisServer, createRedisEngine, isRedisArray } from "../../adapters/dev/redis/index.ts";
import type { RedisReply, RedisServerBackend } from "../../adapters/dev/redis/index.ts";
import { startRedisServer } from "../support/redis-server.ts";

const redisServer = await startRedisServer();

/** Commands by subject, one a line. */
const TABLES: Readonly<Record<string, string>> = {
  "adding, and the ids that are given": `
    XADD s 5-1 f v
    XADD s 5-1 f v
    XADD s 5 f v
    XADD s 6 f v
    XADD s 6-* f v
    XADD s 4-* f v
    XADD s 7-* f v
    XADD t 0-0 f v
    XADD t 0-1 f v
    XADD t 0-* f v
    XADD t -1 f v
    XADD t 1-x f v
    XADD t x f v
    XADD t 18446744073709551615-18446744073709551615 f v
    XADD t 18446744073709551615-* f v
    XADD t 18446744073709551616 f v
    XADD t 1-1 f
    XADD t 1-1 f v g
    XADD t 1-1
    XADD t
    XADD u NOMKSTREAM 1-1 f v
    EXISTS u
    XADD u * f
    EXISTS u
    XADD u 1-1 f v f w
    XADD u nomkstream 2-1 f v
    XRANGE u - +
    XLEN u
    XLEN missing
    TYPE u
    SET string v
    XADD string 1-1 f v
    XLEN string
    GET u
    XADD u MAXLEN 1 3-1 f v
    XADD u MAXLEN = 2 4-1 f v
    XADD u MAXLEN 5-1 f v
    XADD u MAXLEN -1 5-1 f v
    XADD u MINID 4 5-1 f v
    XADD u MINID 4 MAXLEN 3 6-1 f v
    XADD u MAXLEN 3 LIMIT 3 6-1 f v
    XADD u LIMIT 3 6-1 f v
    XRANGE u - +
    XTRIM u MAXLEN 1
    XTRIM u MAXLEN = 0
    XTRIM u MAXLEN
    XTRIM u FOO 1
    XTRIM missing MAXLEN 1
    XTRIM u MINID 3
    XLEN u
    EXISTS u
    XADD u 3-1 f v
    XADD u 9-1 f v
  `,
  "ranges and deletion": `
    XADD s 1-1 a 1
    XADD s 1-2 a 2
    XADD s 2-1 a 3
    XADD s 3-5 a 4
    XRANGE s - +
    XRANGE s 1 1
    XRANGE s 1-2 2
    XRANGE s (1-1 +
    XRANGE s (1-1 (3-5
    XRANGE s (1 +
    XRANGE s ( +
    XRANGE s (- +
    XRANGE s - (+
    XRANGE s + -
    XRANGE s x +
    XRANGE s - x
    XRANGE s - (0-0
    XRANGE s (18446744073709551615-18446744073709551615 +
    XRANGE s - + COUNT 2
    XRANGE s - + COUNT 0
    XRANGE s - + COUNT -1
    XRANGE s - + COUNT
    XRANGE s - + COUNT x
    XRANGE s - + FOO 1
    XRANGE s - + count 1 count 2
    XRANGE missing - +
    XRANGE missing - + COUNT 0
    XRANGE missing x +
    XREVRANGE s + -
    XREVRANGE s 2 1
    XREVRANGE s (2-1 -
    XREVRANGE s + - COUNT 1
    XREVRANGE s + x
    XREVRANGE s x -
    XDEL s 1-2
    XDEL s 1-2 2-1 9-9
    XDEL s x
    XDEL s
    XDEL missing 1-1
    XDEL s 3-5 1-1
    XLEN s
    EXISTS s
    XADD s 3-5 a 5
    XADD s 3-6 a 5
    XRANGE s - +
  `,
  groups: `
    XGROUP CREATE s g 0
    XGROUP CREATE s g 0 MKSTREAM
    XGROUP CREATE s g 0 MKSTREAM
    XGROUP CREATE s g2 x
    XGROUP CREATE s g2 $
    XGROUP CREATE s g3 0 FOO
    XGROUP CREATE s
    XGROUP
    XGROUP FOO s
    XGROUP CREATECONSUMER s g c
    XGROUP CREATECONSUMER s g c
    XGROUP CREATECONSUMER s nope c
    XGROUP CREATECONSUMER missing g c
    XGROUP SETID s g 5
    XGROUP SETID s nope 5
    XGROUP SETID s g $
    XGROUP DELCONSUMER s g c
    XGROUP DELCONSUMER s g c
    XGROUP DELCONSUMER s nope c
    XGROUP DESTROY s g2
    XGROUP DESTROY s g2
    XGROUP DESTROY missing g2
    SET string v
    XGROUP CREATE string g 0
    XGROUP CREATE string g 0 MKSTREAM
    XREADGROUP GROUP g c STREAMS string >
    XACK string g 1-1
    XINFO CONSUMERS s g
    XINFO CONSUMERS s nope
    XINFO CONSUMERS missing g
    XINFO CONSUMERS string g
    XINFO CONSUMERS s
    XINFO
  `,
  "reading in a group": `
    XADD s 1-1 a 1
    XADD s 1-2 a 2
    XADD s 1-3 a 3
    XREADGROUP GROUP g c STREAMS s >
    XREADGROUP GROUP g c STREAMS missing >
    XGROUP CREATE s g 0
    XREADGROUP GROUP g c COUNT 1 STREAMS s >
    XREADGROUP GROUP g d COUNT 1 STREAMS s >
    XREADGROUP GROUP g c STREAMS s 0
    XREADGROUP GROUP g c STREAMS s 1-1
    XPENDING s g - + 10
    XREADGROUP GROUP g c STREAMS s >
    XREADGROUP GROUP g c STREAMS s >
    XREADGROUP GROUP g e STREAMS s >
    XREADGROUP GROUP g e STREAMS s 0
    XREADGROUP GROUP g c STREAMS s $
    XREADGROUP GROUP g c STREAMS s x
    XREADGROUP GROUP g c STREAMS s
    XREADGROUP GROUP g c STREAMS s t >
    XREADGROUP GROUP g c COUNT x STREAMS s >
    XREADGROUP GROUP g c FOO STREAMS s >
    XREADGROUP COUNT 1 COUNT 1 COUNT 1 STREAMS s >
    XREADGROUP GROUP g c BLOCK -1 STREAMS s >
    XREADGROUP GROUP g c BLOCK x STREAMS s >
    XADD s 2-1 a 4
    XADD s 2-2 a 5
    XREADGROUP GROUP g c COUNT -1 NOACK STREAMS s >
    XPENDING s g
    XPENDING s g - + 10 c
    XPENDING s g - + 10 nope
    XPENDING s g - +
    XPENDING s g x + 10
    XPENDING s g - + x
    XPENDING s g - + -1
    XPENDING s g IDLE 0 - + 10
    XPENDING s g IDLE 1000000 - + 10
    XPENDING s g IDLE x - + 10
    XPENDING s g (1-1 (1-3 10
    XPENDING s nope
    XPENDING missing g
    XDEL s 1-1
    XREADGROUP GROUP g c STREAMS s 0
    XPENDING s g
    XACK s g 1-1 1-2 9-9
    XACK s g x
    XACK s nope 1-1
    XACK missing g 1-1
    XACK missing g x
    XPENDING s g
    XINFO CONSUMERS s g
    XGROUP DELCONSUMER s g c
    XPENDING s g
  `,
  claiming: `
    XADD s 1-1 a 1
    XADD s 1-2 a 2
    XADD s 1-3 a 3
    XADD s 1-4 a 4
    XGROUP CREATE s g 0
    XREADGROUP GROUP g c STREAMS s >
    XCLAIM s g d 1000000 1-1
    XCLAIM s g d 0 1-1
    XCLAIM s g d 0 1-1 JUSTID
    XCLAIM s g d 0 9-9
    XCLAIM s g d 0 9-9 FORCE
    XCLAIM s g d 0 1-2 IDLE 2000000
    XCLAIM s g e 0 1-3 TIME 1000 RETRYCOUNT 7
    XPENDING s g - + 10
    XAUTOCLAIM s g f 1000000 0
    XPENDING s g - + 10
    XAUTOCLAIM s g f 1000000 -
    XAUTOCLAIM s g f 0 0 COUNT 1
    XAUTOCLAIM s g f 0 1-2 COUNT 1 JUSTID
    XAUTOCLAIM s g f 0 (1-2 COUNT 10 JUSTID
    XAUTOCLAIM s g f 0 0 COUNT 0
    XAUTOCLAIM s g f 0 0 COUNT x
    XAUTOCLAIM s g f 0 0 FOO
    XAUTOCLAIM s g f x 0
    XAUTOCLAIM s g f 0 x
    XAUTOCLAIM s nope f 0 0
    XAUTOCLAIM missing g f 0 0
    XCLAIM s nope d 0 1-1
    XCLAIM missing g d 0 1-1
    XCLAIM s g d x 1-1
    XCLAIM s g d 0 x
    XCLAIM s g d 0 1-1 FOO
    XCLAIM s g d 0 1-1 IDLE x
    XCLAIM s g d 0 1-1 TIME x
    XCLAIM s g d 0 1-1 RETRYCOUNT x
    XCLAIM s g new 1000000 1-1
    XINFO CONSUMERS s g
    XDEL s 1-2 1-3
    XCLAIM s g d 0 1-2
    XPENDING s g
    XAUTOCLAIM s g f 0 0 COUNT 2
    XPENDING s g - + 10
    XACK s g 1-4
    XCLAIM s g h 0 1-4 FORCE JUSTID
    XCLAIM s g h 0 1-4 LASTID 9-9
    XADD s 9-9 a 9
    XADD s 9-10 a 9
    XREADGROUP GROUP g c STREAMS s >
    RENAME s t
    XPENDING t g
    DEL t
    XPENDING t g
  `,
};

const IDS = Array.from({ length: 12 }, (_, i) => `${1 + Math.floor(i / 3)}-${1 + (i % 3)}`);

/** A small generator (mulberry32), the same in every run. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

function randomCommand(below: (limit: number) => number, at: number): readonly string[] {
  const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)]!;
  const key = pick(["s", "t"]);
  const group = pick(["g", "h"]);
  const consumer = pick(["a", "b", "c"]);
  // Most of them among what was added last.
  const id = (): string =>
    below(4) === 0 ? pick(IDS) : `${Math.max(1, Math.floor(at / 4) - below(6))}-${1 + below(3)}`;
  const idle = pick(["0", "0", "1000000"]);
  const justId = below(2) === 0 ? ["JUSTID"] : [];
  return pick<() => readonly string[]>([
    () => ["XADD", key, `${1 + Math.floor(at / 4)}-${1 + below(3)}`, "f", String(below(9))],
    () => ["XADD", key, `${1 + Math.floor(at / 4)}-*`, "f", String(below(9)), "g", "x"],
    () => ["XGROUP", "CREATE", key, group, pick(["0", "$", id()]), "MKSTREAM"],
    () => ["XREADGROUP", "GROUP", group, consumer, "COUNT", String(1 + below(4)), "STREAMS", key, ">"],
    () => ["XREADGROUP", "GROUP", group, consumer, "STREAMS", "s", "t", pick([">", "0"]), pick([">", id()])],
    () => ["XACK", key, group, id(), id()],
    () => ["XDEL", key, id()],
    () => ["XCLAIM", key, group, consumer, idle, id(), id(), ...justId],
    () => ["XCLAIM", key, group, consumer, "0", id(), "IDLE", "2000000"],
    () => ["XCLAIM", key, group, consumer, "0", id(), "FORCE", "RETRYCOUNT", String(below(9)), ...justId],
    () => ["XAUTOCLAIM", key, group, consumer, idle, pick(["0", id()]), "COUNT", String(1 + below(3)), ...justId],
    () => ["XPENDING", key, group],
    () => ["XPENDING", key, group, "-", "+", "10", ...(below(2) === 0 ? [consumer] : [])],
    () => ["XRANGE", key, pick(["-", id(), `(${id()}`]), pick(["+", id()]), "COUNT", String(1 + below(5))],
    () => ["XINFO", "CONSUMERS", key, group],
    () => ["XGROUP", "DELCONSUMER", key, group, consumer],
    () => ["XTRIM", key, "MAXLEN", String(5 + below(10))],
    () => ["XLEN", key],
    () => (below(20) === 0 ? ["XGROUP", "DESTROY", key, group] : ["XLEN", key]),
    () => (below(20) === 0 ? ["DEL", key] : ["TYPE", key]),
  ])();
}

/** How long an entry or a consumer was idle differs by moments: only whether it is long counts. */
function comparable([name = "", word = ""]: readonly string[], reply: RedisReply | undefined): unknown {
  const coarse = (value: RedisReply | undefined): unknown =>
    typeof value === "number" && value < 500_000 ? "short" : value === undefined ? undefined : "long";
  if (reply === undefined || !isRedisArray(reply)) return reply;
  if (name === "XPENDING" && reply.every((entry) => isRedisArray(entry) && entry.length === 4)) {
    return reply.map((entry) => {
      const [id, consumer, idle, count] = entry as readonly RedisReply[];
      return [id, consumer, coarse(idle), count];
    });
  }
  if (name === "XINFO" && word === "CONSUMERS")
    return reply.map((entry) => (entry as readonly RedisReply[]).slice(0, 5));
  return reply;
}

function printed(reply: RedisReply): string {
  if (typeof reply !== "string") throw new TypeError("expected an id");
  return reply;
}

describe.skipIf(redisServer === undefined)("the embedded streams beside real ones", () => {
  let server: RedisServerBackend;
  const engine = createRedisEngine();

  beforeAll(async () => {
    server = await connectRedisServer({ host: "127.0.0.1", port: redisServer?.port ?? 0 });
  });
  afterAll(async () => {
    await server.close();
    await redisServer?.stop();
  });
  beforeEach(async () => {
    await server.execute(["FLUSHALL"]);
    engine.execute(["FLUSHALL"]);
  });

  const compare = async (commands: readonly (readonly string[])[]): Promise<void> => {
    expect(commands.length).toBeGreaterThan(0);
    const real = await Promise.all(commands.map((args) => server.execute(args)));
    const embedded = commands.map((args) => engine.execute(args));
    const differences = commands
      .map((args, i) => ({ i, args, embedded: comparable(args, embedded[i]), real: comparable(args, real[i]) }))
      .filter((answer) => !isDeepStrictEqual(answer.embedded, answer.real));
    expect(differences).toEqual([]);
  };

  for (const [subject, table] of Object.entries(TABLES)) {
    test(`answer fixed commands alike: ${subject}`, () =>
      compare(
        table
          .split("\n")
          .map((line) => line.trim())
          .filter((line) => line !== "")
          .map((line) => line.split(" ")),
      ));
  }

  test.for([1, 2, 3, 4, 5, 6])("answer 1,500 random commands alike, seed %i", async (seed) => {
    const below = random(seed);
    await compare(Array.from({ length: 1_500 }, (_, at) => randomCommand(below, at)));
  });

  test("number entries by the clock, and never backwards", async () => {
    for (const backend of [server, engine]) {
      const first = printed(await backend.execute(["XADD", "s", "*", "f", "v"]));
      const second = printed(await backend.execute(["XADD", "s", "*", "f", "v"]));
      expect(Math.abs(Number(first.split("-")[0]) - Date.now())).toBeLessThan(60_000);
      const [firstMillis, firstSequence] = first.split("-").map(Number);
      const [secondMillis, secondSequence] = second.split("-").map(Number);
      expect([secondMillis! - firstMillis!, secondSequence! - firstSequence!]).toSatisfy(
        ([millis, sequence]: [number, number]) => millis > 0 || (millis === 0 && sequence > 0),
      );
    }
  });

  test("answer a script alike", async () => {
    const script = `
      local id = redis.call('XADD', KEYS[1], '1-1', 'f', ARGV[1])
      redis.call('XGROUP', 'CREATE', KEYS[1], 'g', '0')
      local read = redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1], '>')
      local held = redis.call('XPENDING', KEYS[1], 'g', id, id, 1)
      return { id, read, held[1][2], redis.call('XACK', KEYS[1], 'g', id), redis.call('XDEL', KEYS[1], id) }`;
    await compare([["EVAL", script, "1", "s", "v"]]);
  });

  test("lie in a snapshot as they are, and are not changed in it", () => {
    engine.execute(["XADD", "s", "1-1", "f", "v"]);
    engine.execute(["XGROUP", "CREATE", "s", "g", "0"]);
    engine.execute(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
    const snapshot = engine.snapshot();
    engine.execute(["XACK", "s", "g", "1-1"]);
    engine.execute(["XDEL", "s", "1-1"]);
    engine.restore(snapshot);
    expect(engine.execute(["XLEN", "s"])).toBe(1);
    expect(engine.execute(["XACK", "s", "g", "1-1"])).toBe(1);
  });
});
