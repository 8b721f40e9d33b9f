import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { connectRedisServer, createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import type { RedisBackend } from "../../../adapters/dev/redis/index.ts";
import { redisStore } from "../../../adapters/redis/index.ts";
import type { LogStore } from "../../../src/ports/log-store.ts";
import type { Claim, DeliveryChange } from "../../../src/ports/transaction-log.ts";
import {
  claimOptions,
  largeBody,
  LONG,
  sampleId,
  sampleLetter,
  sampleRecord,
  sampleRecords,
} from "../../../src/testing/samples.ts";
import { startRedisServer } from "../../support/redis-server.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";

/**
 * What Upstash bills: every command, and every command inside a script besides the script itself. These figures are
 * what the encoding was chosen for; a change that makes one higher is a change of price.
 */
const server = await startRedisServer();
const real = server && (await connectRedisServer({ host: "127.0.0.1", port: server.port }));

afterAll(async () => {
  await real?.close();
  await server?.stop();
});

describe("the bill of the embedded Redis", () => billing(createRedisEngine()));
describe.skipIf(real === undefined)("the bill of a real server", () => billing(real!));

function billing(backend: RedisBackend): void {
  let store: LogStore;

  beforeEach(async () => {
    await backend.execute(["FLUSHALL"]);
    store = redisStore(backendExecutor(backend));
  });

  /** How many commands are billed for what `run` does, and its result. */
  const priced = async <T>(run: () => Promise<T>): Promise<[cost: number, result: T]> => {
    await backend.resetBilled();
    const result = await run();
    return [(await backend.billed()).total, result];
  };
  const costOf = async (run: () => Promise<unknown>): Promise<number> => (await priced(run))[0];

  /** Half messages of so many transactions, due at once. */
  const prepareMany = async (count: number, body?: string): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const facts = { transactionId: sampleId(i), ...(body === undefined ? {} : { body }) };
      await store.transactions.prepare([sampleRecord(facts)]);
    }
  };

  test.each([1, 3, 50])("preparing %i records costs 1", async (count) => {
    expect(await costOf(() => store.transactions.prepare(sampleRecords(count)))).toBe(1);
  });

  test("preparing a record with a large body costs 3", async () => {
    expect(await costOf(() => store.transactions.prepare([sampleRecord({ body: largeBody(9_000) })]))).toBe(3);
  });

  test("deciding costs 1, and 3 for whoever is second", async () => {
    expect(await costOf(() => store.transactions.decide(sampleId(1), "committed", 1))).toBe(1);
    expect(await costOf(() => store.transactions.decide(sampleId(1), "rolledBack", 2))).toBe(3);
  });

  test.each([1, 20])("recording %i deliveries as published, delivered or revoked costs 1", async (count) => {
    const records = sampleRecords(count);
    await store.transactions.prepare(records);
    const published = records.map((record): DeliveryChange => asPublished(record));
    const settled = records.map((record): DeliveryChange => ({ record, settled: true }));
    expect(await costOf(() => store.transactions.record(published))).toBe(1);
    expect(await costOf(() => store.transactions.record(settled))).toBe(1);
  });

  test("a transaction at the level marked costs 4 from its first publish until it is delivered", async () => {
    const records = sampleRecords(2);
    const cost = await costOf(async () => {
      await store.transactions.prepare(records);
      await store.transactions.decide(sampleId(1), "committed", 1);
      await store.transactions.record(records.map(asPublished));
      await store.transactions.record(records.map((record) => ({ record, settled: true })));
    });
    expect(cost).toBe(4);
  });

  test("a transaction that is rolled back costs 3", async () => {
    const records = sampleRecords(2);
    const cost = await costOf(async () => {
      await store.transactions.prepare(records);
      await store.transactions.decide(sampleId(1), "rolledBack", 1);
      await store.transactions.record(records.map((record) => ({ record, settled: true })));
    });
    expect(cost).toBe(3);
  });

  test.each([1, 100])("reading the decisions of %i transactions costs 1", async (count) => {
    const ids = Array.from({ length: count }, (_, i) => sampleId(i));
    expect(await costOf(() => store.transactions.decisions(ids))).toBe(1);
  });

  describe("sweeping", () => {
    const claim = (limit = 200): Promise<readonly Claim[]> =>
      store.transactions.claimDue(claimOptions({ limit, now: Date.now() })).then((batch) => batch.claims);

    test("an empty log costs 1", async () => {
      expect(await costOf(() => claim())).toBe(1);
    });

    test("a log with nothing due for a while costs 5 when the records are first seen, and then 1", async () => {
      await store.transactions.prepare(sampleRecords(20, { deadlineMillis: LONG }));
      expect(await costOf(() => claim())).toBe(5);
      expect(await costOf(() => claim())).toBe(1);
    });

    test("a log with something due in less than half a minute costs 4", async () => {
      await store.transactions.prepare(sampleRecords(20, { deadlineMillis: 20_000 }));
      await claim();
      expect(await costOf(() => claim())).toBe(4);
    });

    test.each([1, 10, 200])("claiming %i records costs 1 for the look and 4 for the script", async (count) => {
      await prepareMany(count);
      const [cost, claims] = await priced(() => claim());
      expect(claims).toHaveLength(count);
      expect(cost).toBe(1 + 4);
    });

    test.each([1, 10, 200])(
      "claiming %i records that are expected costs 4: a sweep's later batches need no look",
      async (count) => {
        await prepareMany(count);
        const options = { ...claimOptions({ limit: 200, now: Date.now() }), expected: true };
        const [cost, { claims }] = await priced(() => store.transactions.claimDue(options));
        expect(claims).toHaveLength(count);
        expect(cost).toBe(4);
      },
    );

    test.each([1, 10, 200])("claiming %i records with large bodies costs 1 more", async (count) => {
      await prepareMany(count, largeBody(9_000));
      expect(await costOf(() => claim())).toBe(1 + 4 + 1);
    });

    test.each([1, 10, 200])(
      "recording a claimed batch of %i costs at most 4, whatever becomes of each",
      async (count) => {
        await prepareMany(count);
        const claims = await claim();
        const mixed = claims.map(({ record, token }, i): DeliveryChange =>
          i % 2 === 0 ? { record, token, settled: true } : { ...asPublished(record), token },
        );
        expect(await costOf(() => store.transactions.record(mixed))).toBe(count === 1 ? 3 : 4);
      },
    );
  });

  describe("consuming", () => {
    const first = { consumer: "receipt", messageId: "m1", token: "first" };
    const completion = { outcome: "1", retentionMillis: LONG };

    test("a message that is done costs 3: 1 for the claim and 2 for the completion", async () => {
      expect(await costOf(() => store.inbox.claim(first, LONG))).toBe(1);
      expect(await costOf(() => store.inbox.complete(first, completion))).toBe(2);
    });

    test("a duplicate costs 1", async () => {
      await store.inbox.claim(first, LONG);
      await store.inbox.complete(first, completion);
      expect(await costOf(() => store.inbox.claim({ ...first, token: "second" }, LONG))).toBe(1);
    });

    test("a run that fails costs 3", async () => {
      const cost = await costOf(async () => {
        await store.inbox.claim(first, LONG);
        await store.inbox.release(first);
      });
      expect(cost).toBe(3);
    });

    test("a renewal costs 3", async () => {
      await store.inbox.claim(first, LONG);
      expect(await costOf(() => store.inbox.renew(first, LONG))).toBe(3);
    });

    test("a completion that commits what its run published costs 4, the decision included", async () => {
      await store.inbox.claim(first, LONG);
      const child = { transactionId: sampleId(1), at: 1 };
      expect(await costOf(() => store.inbox.complete(first, { ...completion, child }))).toBe(4);
    });
  });

  describe("what waits for a person", () => {
    test("burying costs 6, and redriving 8", async () => {
      const record = sampleRecord();
      await store.transactions.prepare([record]);
      expect(await costOf(() => store.deadLetters.bury(sampleLetter(record)))).toBe(6);
      const next = { ...sampleRecord({ epoch: "again" }) };
      expect(await costOf(() => store.deadLetters.redrive(sampleLetter(record), next))).toBe(8);
    });

    test("an audit's other looks, at the mark and at a letter that is known, cost 1 each", async () => {
      const record = sampleRecord();
      await store.deadLetters.bury(sampleLetter(record));
      expect(await costOf(() => store.mark("fresh"))).toBe(1);
      expect(await costOf(() => store.reader.deadLetter(record.key))).toBe(1);
    });

    test("cleaning up costs 7 where nothing is old", async () => {
      await store.transactions.decide(sampleId(1), "committed", 1_000);
      expect(await costOf(() => store.cleanUp({ now: 2_000, retentionMillis: 1_500 }))).toBe(7);
    });
  });
}

function asPublished(record: Claim["record"]): Extract<DeliveryChange, { mark: unknown }> {
  return { record, mark: "published", attempts: 0, afterMillis: LONG };
}
