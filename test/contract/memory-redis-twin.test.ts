import { array, assert, asyncProperty, constant, constantFrom, nat, oneof, record as struct, tuple } from "fast-check";
import { expect, test } from "vitest";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import { redisStore } from "../../adapters/redis/index.ts";
import { keyspace } from "../../adapters/redis/keys.ts";
import { isLarge } from "../../adapters/redis/member.ts";
import { memoryStore } from "../../src/memory/index.ts";
import type { Snapshot } from "../../src/memory/index.ts";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { Verdict } from "../../src/model/states.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { LogStore } from "../../src/ports/log-store.ts";
import type { Page, PageOptions } from "../../src/ports/log-reader.ts";
import type { Claim, Mark } from "../../src/ports/transaction-log.ts";
import { redriven, sampleId, sampleLetter, sampleRecord } from "../../src/testing/samples.ts";
import { DEFAULT_START } from "../../src/testing/index.ts";
import { backendExecutor } from "../support/upstash-endpoint.ts";

/**
 * The lengths of time are chosen so that each of them ends, or none: a Redis that puts back what a stale call touched
 * begins its time to live anew, which no reply tells.
 */
const LEASE = 60_000;
const PAST_LEASE = 120_000;
const RETENTION = 30 * 86_400_000;
const AGES = 400 * 86_400_000;
const WAITS = [0, 1, PAST_LEASE, 500_000] as const;

/** A store, and the claims that it gave: the same as the other's but for their tokens. */
interface Side {
  readonly store: LogStore;
  readonly claims: Claim[];
}

let now = DEFAULT_START;
const clock: Clock = { now: () => now, sleep: async () => {} };
/** One engine for all sequences, emptied before each: its compiled scripts stay. */
const engine = createRedisEngine({ now: clock.now });
const admin = backendExecutor(engine);

const IDS = [1, 2].map(sampleId);
const EPOCHS = [undefined, "epoch-1", "epoch-2"] as const;
/** Two deliveries of each transaction, one of them with a large body, each in three epochs. */
const RECORDS: readonly DeliveryRecord[] = IDS.flatMap((transactionId, i) =>
  [0, 1].flatMap((index) =>
    EPOCHS.map((epoch) => {
      const body = index === 0 ? '{"n":0}' : `{"text":"${"ä".repeat(4_200)}"}`;
      const record = sampleRecord({ transactionId, index, body, deadlineMillis: WAITS[i]! });
      return epoch === undefined ? record : redriven(record, epoch);
    }),
  ),
);
const VERDICTS: readonly Verdict[] = ["committed", "rolledBack"];
const MARKS: readonly Mark[] = ["half", "published", "doubted"];
const pick = <T>(list: readonly T[], choice: number): T => list[choice % list.length]!;

const runOf = (a: number, b: number) => ({ consumer: "receipt", messageId: `m${a % 2}`, token: `t${b % 2}` });

const OPERATIONS = {
  prepare: ({ store }: Side, a: number, b: number) =>
    store.transactions.prepare(RECORDS.filter((record, i) => record.transactionId === pick(IDS, a) && i % 3 <= b % 2)),
  decide: ({ store }: Side, a: number, b: number) =>
    store.transactions.decide(pick(IDS, a), pick(VERDICTS, b), clock.now()),
  decisions: async ({ store }: Side) => Object.fromEntries(await store.transactions.decisions(IDS)),
  record: ({ store }: Side, a: number, b: number, c: number) => {
    const record = pick(RECORDS, a);
    return store.transactions.record([
      c % 5 === 0
        ? { record, settled: true }
        : { record, mark: pick(MARKS, b), attempts: [0, 7, 255, 300][c % 4]!, afterMillis: pick(WAITS, c) },
    ]);
  },
  recordClaim: async ({ store, claims }: Side, a: number, b: number, c: number) => {
    if (claims.length === 0) return;
    const { record, token } = claims[Math.max(0, claims.length - 1 - (a % 6))]!;
    await store.transactions.record([
      c % 3 === 0
        ? { record, token, settled: true }
        : { record, token, mark: pick(MARKS, b), attempts: b, afterMillis: pick(WAITS, c) },
    ]);
  },
  claim: async ({ store, claims }: Side, a: number) => {
    const limit = [1, 2, 100][a % 3]!;
    const batch = await store.transactions.claimDue({ limit, leaseMillis: LEASE, now: clock.now() });
    claims.push(...batch.claims);
    return { ...batch, claims: batch.claims.map((claim) => ({ ...claim, token: undefined })) };
  },
  bury: ({ store }: Side, a: number, b: number) =>
    store.deadLetters.bury(
      sampleLetter(pick(RECORDS, a), { detail: `account ${b}`, ...(b % 2 === 0 ? {} : { transportId: `dlq-${b}` }) }),
    ),
  redrive: ({ store }: Side, a: number, b: number) => {
    const { transactionId, index } = pick(RECORDS, a);
    const epochs = RECORDS.filter((record) => record.transactionId === transactionId && record.index === index);
    return store.deadLetters.redrive(sampleLetter(pick(RECORDS, a)), pick(epochs.slice(1), b));
  },
  discard: ({ store }: Side, a: number) => store.deadLetters.discard(sampleLetter(pick(RECORDS, a))),
  hold: ({ store, claims }: Side, a: number) => store.deadLetters.hold(claims.slice(-1 - (a % 4))),
  release: ({ store }: Side, a: number) => store.deadLetters.release(pick(IDS, a)),
  inboxClaim: ({ store }: Side, a: number, b: number) => store.inbox.claim(runOf(a, b), LEASE),
  inboxRenew: ({ store }: Side, a: number, b: number) => store.inbox.renew(runOf(a, b), LEASE),
  inboxComplete: ({ store }: Side, a: number, b: number, c: number) =>
    store.inbox.complete(runOf(a, b), {
      outcome: `"${c % 5 === 0 ? "other" : "same"}"`,
      retentionMillis: RETENTION,
      ...(c % 2 === 0 ? {} : { child: { transactionId: pick(IDS, a), at: clock.now() } }),
    }),
  inboxRelease: ({ store }: Side, a: number, b: number) => store.inbox.release(runOf(a, b)),
  inboxLook: ({ store }: Side, a: number) => store.inbox.look(runOf(a, 0)),
  rollBackLapsed: ({ store }: Side, a: number, b: number, c: number) =>
    store.inbox.rollBackLapsed(runOf(a, b), { transactionId: pick(IDS, c), at: clock.now() }),
  cleanUp: ({ store }: Side) => store.cleanUp({ now: clock.now(), retentionMillis: AGES / 4 }),
  read: async ({ store: { reader } }: Side, a: number, b: number) => ({
    transaction: await reader.transaction(pick(IDS, a)),
    letter: await reader.deadLetter(pick(RECORDS, b).key),
    dead: await pages(reader.listDead, 1 + (b % 3)),
    held: await pages(reader.listHeld, 1 + (b % 3)),
    unsettled: await pages(reader.listUnsettled, 1 + (b % 3)),
    counts: await reader.counts(),
  }),
} satisfies Record<string, (side: Side, a: number, b: number, c: number) => Promise<unknown>>;

async function pages<T>(list: (page: PageOptions) => Promise<Page<T>>, limit: number): Promise<(readonly T[])[]> {
  const found: (readonly T[])[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<T> = await list({ limit, ...(cursor === undefined ? {} : { cursor }) });
    found.push(page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

/** The keys of large bodies in Redis. */
async function keptBodies(): Promise<readonly string[]> {
  return ((await admin.execute(["KEYS", "*body:*"])) as string[]).sort();
}

/** The keys of large bodies that Redis should have for what a store holds, and no others. */
function neededBodies({ due, held, dead }: Snapshot): readonly string[] {
  const keys = keyspace().shards[0]!;
  const records = [...due.map(([, entry]) => entry.record), ...held.map(([, record]) => record)];
  const letters = dead.map(([, letter]) => letter.record);
  const needed = [
    ...records.filter(isLarge).map((record) => keys.body(deduplicationId(record))),
    ...letters.filter(isLarge).map((record) => keys.deadBody(record.key)),
  ];
  return [...new Set(needed)].sort();
}

/** Gives every record that no sweep has seen its time, as the memory store does from the beginning. */
const STAMP = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '0', 'BYSCORE')) do
  local size = -tonumber(redis.call('ZSCORE', KEYS[1], member))
  redis.call('ZADD', KEYS[1], string.format('%.0f', now * 2048 + size), member)
end
`;

const names = Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[];
/** One operation, with numbers that choose among what there is, and how long after the last one it comes. */
const step = struct({
  name: constantFrom(...names),
  choices: tuple(nat(35), nat(35), nat(35)),
  millis: oneof(
    { weight: 12, arbitrary: constant(1) },
    { weight: 3, arbitrary: constant(PAST_LEASE) },
    { weight: 1, arbitrary: constant(AGES) },
  ),
});

test("the memory store answers every sequence of operations as the Redis store does", async () => {
  await assert(
    asyncProperty(array(step, { minLength: 10, maxLength: 60, size: "max" }), async (steps) => {
      engine.flushAll();
      now = DEFAULT_START;
      const twin = memoryStore({ clock });
      const memory: Side = { store: twin, claims: [] };
      const redis: Side = { store: redisStore(admin), claims: [] };
      for (const { name, choices, millis } of steps) {
        now += millis;
        const expected = await OPERATIONS[name](redis, ...choices);
        await admin.execute(["EVAL", STAMP, "1", "{aftercommit:0}:due"]);
        expect(await OPERATIONS[name](memory, ...choices), name).toEqual(expected);
      }
      expect(await keptBodies()).toEqual(neededBodies(twin.snapshot()));
      for (const choice of [0, 1]) {
        expect(await OPERATIONS.read(memory, choice, choice)).toEqual(await OPERATIONS.read(redis, choice, choice));
      }
    }),
    { numRuns: 2_000, seed: 20_270_115 },
  );
}, 120_000);
