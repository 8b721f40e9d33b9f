import { beforeEach, expect, test } from "vitest";
import { createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import { redisStore } from "../../../adapters/redis/index.ts";
import type { RedisExecutor } from "../../../adapters/redis/index.ts";
import { ConfigurationError } from "../../../src/errors.ts";
import { AT, claimOptions, LONG, sampleId, sampleLetter, sampleRecord } from "../../../src/testing/samples.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";

const engine = createRedisEngine();
const admin = backendExecutor(engine);
const store = redisStore(admin);
const TAG = "{aftercommit:0}";

beforeEach(() => engine.flushAll());

/** A store on the same Redis, with something done before each command. */
function storeWith(before: (command: readonly string[]) => Promise<void>): ReturnType<typeof redisStore> {
  const executor: RedisExecutor = {
    async execute(command) {
      await before(command);
      return admin.execute(command);
    },
  };
  return redisStore(executor);
}

test("a decision that vanishes between the two looks of whoever is second is made anew", async () => {
  await store.transactions.decide(sampleId(1), "committed", AT);
  let flushed = false;
  const unlucky = storeWith(async ([name]) => {
    if (name !== "EVAL" || flushed) return;
    flushed = true;
    engine.flushAll();
  });
  const decision = await unlucky.transactions.decide(sampleId(1), "committed", AT + 1);
  expect(decision).toEqual({ verdict: "committed", decidedAt: AT + 1 });
});

test("a clock that reads 0 turns no commit into a roll-back", async () => {
  const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
  const child = { transactionId: sampleId(2), at: 0 };
  await store.inbox.claim(claim, LONG);
  expect(await store.inbox.complete(claim, { outcome: "1", retentionMillis: LONG, child })).toBe("completed");
  expect((await store.transactions.decide(sampleId(1), "committed", 0)).verdict).toBe("committed");
  const found = await store.transactions.decisions([sampleId(1), sampleId(2)]);
  expect([...found.values()].map(({ verdict }) => verdict)).toEqual(["committed", "committed"]);
});

test("durations may have a fraction", async () => {
  const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
  expect(await store.inbox.claim(claim, 30_000.5)).toEqual({ state: "claimed" });
  expect(await store.inbox.renew(claim, 30_000.5)).toBe(true);
  expect(await store.inbox.complete(claim, { outcome: "1", retentionMillis: 0.25 })).toBe("completed");
  await store.transactions.prepare([sampleRecord({ deadlineMillis: 0.25 })]);
  const { claims } = await store.transactions.claimDue(claimOptions({ leaseMillis: 1_000.75 }));
  expect(Number.isSafeInteger(claims[0]?.token)).toBe(true);
});

test("a record that cannot be read is told of once an hour, not at every sweep", async () => {
  let now = AT;
  const clocked = createRedisEngine({ now: () => now });
  const executor = backendExecutor(clocked);
  const sweep = async (): Promise<number> =>
    (await redisStore(executor).transactions.claimDue(claimOptions({ leaseMillis: 1_000, now }))).undecodable.length;
  await executor.execute(["ZADD", `${TAG}:due`, "0", "garbage"]);
  const told: number[] = [];
  for (const millis of [0, 2_000, 60_000, 3_600_000]) {
    now += millis;
    told.push(await sweep());
  }
  expect(told).toEqual([1, 0, 0, 1]);
});

test("letters that cannot be read keep no other from being listed", async () => {
  const letters = [1, 2, 3].map((n) => sampleLetter(sampleRecord({ transactionId: sampleId(n) })));
  for (const letter of letters) await store.deadLetters.bury(letter);
  for (const garbage of ["", "garbage", `${sampleRecord({ index: 9 }).key}\nnot JSON\n{}\n=`, "\u0000\n\n\n@nowhere"]) {
    await admin.execute(["ZADD", `${TAG}:dead`, "0", garbage]);
  }
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.reader.listDead({ limit: 1, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...page.items.map((letter) => letter.record.key));
    cursor = page.cursor;
  } while (cursor !== undefined);
  expect(found).toEqual(letters.map((letter) => letter.record.key));
});

test("a reader says that Redis is out of reach, and shows no shorter list instead", async () => {
  await store.deadLetters.bury(sampleLetter(sampleRecord({ body: "x".repeat(9_000) })));
  const broken = storeWith(async ([name]) => {
    if (name === "GET") throw new Error("connection lost");
  });
  await expect(broken.reader.listDead()).rejects.toThrow("connection lost");
});

test("a sweep of several shards begins at another one each time, so that none waits for ever", async () => {
  const sharded = redisStore(admin, { shards: 4 });
  for (let i = 0; i < 40; i++) await sharded.transactions.prepare([sampleRecord({ transactionId: sampleId(i) })]);
  const swept = new Set<number>();
  for (let now = AT; now < AT + 4; now++) {
    const { claims } = await sharded.transactions.claimDue(claimOptions({ limit: 1, now }));
    swept.add(sharded.shardOf(claims[0]!.record.transactionId));
  }
  expect(swept.size).toBe(4);
});

test("decisions are cleaned up a thousand at a time, and not beside a large backlog", async () => {
  const many = Array.from({ length: 1_500 }, (_, i) => [String(i + 1), `id-${i}`]).flat();
  await admin.execute(["ZADD", `${TAG}:dec`, ...many]);
  const cleanUp = () => store.cleanUp({ now: 10_000, retentionMillis: 5_000 });
  const backlog = Array.from({ length: 10_001 }, (_, i) => ["1", `member-${i}`]).flat();
  await admin.execute(["ZADD", `${TAG}:due`, ...backlog]);
  await cleanUp();
  expect((await store.reader.counts()).decisions).toBe(1_500);
  await admin.execute(["DEL", `${TAG}:due`]);
  await cleanUp();
  expect((await store.reader.counts()).decisions).toBe(500);
  await cleanUp();
  expect((await store.reader.counts()).decisions).toBe(0);
});

test("a namespace or a number of shards that cannot be is refused", () => {
  expect(() => redisStore(admin, { namespace: "a{b}" })).toThrow(ConfigurationError);
  expect(() => redisStore(admin, { namespace: "" })).toThrow(ConfigurationError);
  for (const shards of [0, 65, 1.5]) expect(() => redisStore(admin, { shards })).toThrow(ConfigurationError);
});

test("a store bears one mark until it is emptied", async () => {
  expect(await store.mark("first")).toBe("first");
  expect(await store.mark("second")).toBe("first");
  engine.flushAll();
  expect(await store.mark("third")).toBe("third");
});
