import { describe, expect, test, vi } from "vitest";
import { bury, discard, findDeadLetter, recordFailure, recordOf, redrive } from "../../../src/core/dead-letters.ts";
import { hashDestination } from "../../../src/model/delivery.ts";
import { parseEnvelope, stampEnvelope } from "../../../src/model/envelope.ts";
import type { Envelope } from "../../../src/model/envelope.ts";
import type { TransportDeadLetter } from "../../../src/ports/transport.ts";
import { AT, sampleId, sampleLetter, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import { faulty, orderPaid, PUBLIC_URL, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const URL_OF = `${PUBLIC_URL}/consumers/receipt`;
const TIME = "2027-01-15T07:00:00.000Z";
const half: Omit<Envelope, "decidedat"> = {
  specversion: "1.0",
  id: `${sampleId(1)}_0`,
  source: SOURCE,
  type: orderPaid.name,
  time: TIME,
  datacontenttype: "application/json",
  transactionid: sampleId(1),
  messageindex: 0,
  data: { orderId: "o-1" },
};
const HALF = JSON.stringify(half);

/** The delivery of the half message above, as the log had it. */
async function delivery(w: World, more: Parameters<typeof sampleRecord>[0] = {}) {
  const destinationHash = await hashDestination(w.crypto, URL_OF);
  return sampleRecord({ transactionId: sampleId(1), destination: URL_OF, destinationHash, body: HALF, ...more });
}

function report(more: Partial<TransportDeadLetter> = {}): TransportDeadLetter {
  return { url: URL_OF, body: stampEnvelope(HALF, AT), response: "503: busy", ...more };
}

const coreOf = (w: World) => serviceOf(w, {}).core;

describe("burying", () => {
  test("keeps the first 2,000 letters of the last answer", async () => {
    const w = world();
    const record = sampleRecord();
    expect(await bury(coreOf(w), sampleLetter(record, { detail: "x".repeat(2_001) }))).toBe("buried");
    expect((await w.store.reader.deadLetter(record.key))?.detail).toBe("x".repeat(2_000));
    expect(w.of("dead")).toEqual([
      { type: "dead", key: record.key, transactionId: record.transactionId, reason: "failed" },
    ]);
  });

  test("of an epoch that was redriven meanwhile is ignored, and nobody is told", async () => {
    const w = world();
    const core = coreOf(w);
    const record = sampleRecord();
    await bury(core, sampleLetter(record));
    await redrive(core, record.key);
    expect(await bury(core, sampleLetter(record))).toBe("ignored");
    expect(w.of("dead")).toHaveLength(1);
  });
});

describe("what the transport reports as undeliverable", () => {
  test("is buried with what the report says, and has no fields for what it does not", async () => {
    const w = world();
    const core = coreOf(w);
    expect(await recordFailure(core, report({ response: "x".repeat(3_000) }))).toBe("buried");
    const bare = await findDeadLetter(core, (await delivery(w)).key);
    expect(bare).toMatchObject({ reason: "failed", detail: "x".repeat(2_000), decidedAt: AT, buriedAt: w.clock.now() });
    expect(bare).not.toHaveProperty("status");
    expect(bare).not.toHaveProperty("transportId");
    expect(await recordFailure(core, report({ status: 503, transportId: "dlq-1" }))).toBe("buried");
    expect(await findDeadLetter(core, bare!.record.key)).toMatchObject({ status: 503, transportId: "dlq-1" });
  });

  test("without the time of its decision counts from when it was published", async () => {
    const w = world();
    const core = coreOf(w);
    await recordFailure(core, report({ body: HALF }));
    expect(await findDeadLetter(core, (await delivery(w)).key)).toMatchObject({ decidedAt: Date.parse(TIME) });
  });

  test("twice is known, unless the second report tells more", async () => {
    const w = world();
    const core = coreOf(w);
    expect(await recordFailure(core, report())).toBe("buried");
    expect(await recordFailure(core, report())).toBe("known");
    expect(await recordFailure(core, report({ transportId: "dlq-1" }))).toBe("buried");
    expect(await recordFailure(core, report({ transportId: "dlq-2" }))).toBe("known");
    expect(await recordFailure(core, report())).toBe("known");
  });

  test("and was refused, or is in conflict, stays what it is, even if the report tells more", async () => {
    for (const reason of ["refused", "conflict"] as const) {
      const w = world();
      const core = coreOf(w);
      const record = await delivery(w);
      await bury(core, sampleLetter(record, { reason }));
      expect(await recordFailure(core, report({ transportId: "dlq-1" }))).toBe("known");
      expect(await findDeadLetter(core, record.key)).toMatchObject({ reason });
    }
  });

  test("of an earlier epoch is not known, and is ignored", async () => {
    const w = world();
    const core = coreOf(w);
    await recordFailure(core, report());
    const again = await redrive(core, (await delivery(w)).key);
    expect(await recordFailure(core, report({ meta: again.meta }))).toBe("buried");
    expect(await recordFailure(core, report())).toBe("ignored");
  });

  test("and was done after all is delivered, and settled in the log", async () => {
    const w = world();
    const core = coreOf(w);
    const record = await delivery(w, { deadlineMillis: 60_000 });
    await w.store.transactions.prepare([record]);
    const claim = { consumer: URL_OF, messageId: half.id, token: "t" };
    await w.store.inbox.claim(claim, 60_000);
    await w.store.inbox.complete(claim, { outcome: "1", retentionMillis: 60_000 });
    expect(await recordFailure(core, report({ meta: record.meta }))).toBe("delivered");
    expect(w.store.snapshot().due).toEqual([]);
    expect(w.of("delivered")).toMatchObject([{ key: record.key }]);
    expect(w.of("dead")).toEqual([]);
  });

  test("is not dead before it is known whether it was done, where the log keeps it", async () => {
    const w = world();
    const log = faulty(w.store, (name) => (name === "inbox.look" ? "unreachable" : "none"));
    const { core } = serviceOf(w, { log });
    await expect(recordFailure(core, report())).rejects.toMatchObject({ code: "ERR_INBOX_UNAVAILABLE" });
    expect(w.of("dead")).toEqual([]);
  });

  test("is dead in its row whether or not the inbox can be asked, and delivered where it was done", async () => {
    for (const state of ["unknown", "done"] as const) {
      const w = memoryWorld();
      const look = async () => {
        if (state === "unknown") throw new Error("out of reach");
        return { state } as const;
      };
      const inbox = { ...w.database.inbox, look };
      const { core } = serviceOf(w, { databases: { main: { ...w.database, inbox } } });
      const record = await delivery(w, { database: "main" });
      const decision = { transactionId: sampleId(1), source: SOURCE, records: [record], at: AT, dueMillis: 0 };
      await w.database.write({ decision });
      const prepare = vi.spyOn(w.store.transactions, "record");
      const failure = report({ meta: record.meta, response: "x".repeat(3_000) });
      expect(await recordFailure(core, failure)).toBe(state === "done" ? "delivered" : "buried");
      const dead = { state: "dead", reason: "failed", detail: "x".repeat(2_000), buriedAt: w.clock.now() };
      expect((await w.row(sampleId(1)))?.results[record.key]).toEqual(state === "done" ? undefined : dead);
      expect(prepare).not.toHaveBeenCalled();
    }
  });

  test("and is no message of this library is foreign", async () => {
    expect(await recordFailure(coreOf(world()), report({ body: "hello" }))).toBe("foreign");
  });
});

describe("the record of a delivered body", () => {
  const envelope = () => {
    const parsed = parseEnvelope(stampEnvelope(HALF, AT));
    if ("reason" in parsed) throw new Error(parsed.reason);
    return parsed.envelope;
  };

  test("is what travelled with it, where that fits", async () => {
    const w = world();
    const record = await delivery(w, { check: "order", epoch: "e1", decidedAt: AT });
    expect(await recordOf(coreOf(w), { ...report(), meta: record.meta }, envelope())).toEqual(record);
  });

  test.each<[string, (record: Awaited<ReturnType<typeof delivery>>, w: World) => unknown]>([
    ["is missing", () => undefined],
    ["cannot be read", () => "{"],
    ["is of another message", async (_, w) => (await delivery(w, { messageId: "other" })).meta],
    ["is of another place", async (_, w) => (await delivery(w, { index: 1 })).meta],
    ["is of another destination", async (_, w) => (await delivery(w, { destination: `${URL_OF}/other` })).meta],
  ])("is rebuilt where that %s", async (_name, metaOf) => {
    const w = world();
    const core = coreOf(w);
    const meta = (await metaOf(await delivery(w), w)) as string | undefined;
    const rebuilt = await recordOf(core, { ...report(), ...(meta === undefined ? {} : { meta }) }, envelope());
    const { deadlineMillis } = core.settings;
    const { messageId } = await delivery(w);
    expect(rebuilt).toEqual(await delivery(w, { send: {}, messageId, topic: orderPaid.name, deadlineMillis }));
  });

  test("that is rebuilt bears the epoch that it was sent under, if any", async () => {
    const w = world();
    const epochOf = async (epoch?: string) =>
      recordOf(coreOf(w), { ...report(), ...(epoch === undefined ? {} : { epoch }) }, envelope());
    expect(await epochOf("e1")).toHaveProperty("epoch", "e1");
    expect(await epochOf("0")).not.toHaveProperty("epoch");
    expect(await epochOf()).not.toHaveProperty("epoch");
  });
});

describe("a dead letter", () => {
  test("may be redriven under its id up to the very end of its time", async () => {
    const w = world();
    const core = coreOf(w);
    const record = sampleRecord();
    const { redriveWithinMillis } = core.settings;
    await bury(core, sampleLetter(record, { buriedAt: w.clock.now() - redriveWithinMillis - 1 }));
    await expect(redrive(core, record.key)).rejects.toMatchObject({ code: "ERR_EXPIRED" });
    const other = sampleRecord({ index: 1 });
    await bury(core, sampleLetter(other, { buriedAt: w.clock.now() - redriveWithinMillis }));
    expect((await redrive(core, other.key)).messageId).toBe(other.messageId);
  });

  test("that is discarded by two at once is gone for the second", async () => {
    const w = world();
    const record = sampleRecord();
    await bury(coreOf(w), sampleLetter(record));
    const log = { ...w.store, deadLetters: { ...w.store.deadLetters, discard: async () => false } };
    await expect(discard(serviceOf(w, { log }).core, record.key)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await discard(coreOf(w), record.key);
    await expect(discard(coreOf(w), record.key)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  test("that is nowhere is not found; a store that does not answer is no such thing", async () => {
    const w = world();
    const { key } = sampleRecord();
    expect(await findDeadLetter(coreOf(w), key)).toBeUndefined();
    expect(await findDeadLetter({ ...coreOf(w), store: undefined }, key)).toBeUndefined();
    const log = faulty(w.store, (name) => (name === "reader.deadLetter" ? "unreachable" : "none"));
    await expect(findDeadLetter(serviceOf(w, { log }).core, key)).rejects.toMatchObject({
      code: "ERR_LOG_UNAVAILABLE",
    });
  });

  test("whose body is no envelope cannot become a new message, and stays", async () => {
    const w = world();
    const core = coreOf(w);
    const record = sampleRecord();
    await bury(core, sampleLetter(record));
    await expect(redrive(core, record.key, { asNew: true })).rejects.toMatchObject({ code: "ERR_UNDECODABLE" });
    expect(await findDeadLetter(core, record.key)).toBeDefined();
  });
});
