import { describe, expect, test, vi } from "vitest";
import { memoryStore } from "aftercommit/memory";
import { completeRun, endFailed, failRun, markDelivered } from "../../../src/core/end-run.ts";
import type { Run } from "../../../src/core/end-run.ts";
import type { ClosedTransaction, OpenTransaction } from "../../../src/core/transaction.ts";
import { FatalError, RetryableError } from "../../../src/errors.ts";
import type { DeliveryRecord } from "../../../src/model/delivery.ts";
import type { Inbox } from "../../../src/ports/inbox.ts";
import { AT, LONG, sampleId, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { faulty, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const CLAIM = { consumer: "receipt", messageId: "m1", token: "t1" };
const commit = (index: number) => sampleRecord({ index, deadlineMillis: LONG });
const undo = (index: number) => sampleRecord({ index, on: "rollback", deadlineMillis: LONG });

/** What a handler has published, by the time that it has ended. */
function opened(more: Partial<ClosedTransaction> = {}): OpenTransaction {
  const closed: ClosedTransaction = {
    id: sampleId(1),
    level: "marked",
    check: undefined,
    records: [],
    uncertain: [],
    unprotected: [],
    owed: [],
    proceed: false,
    overdue: false,
    ...more,
  };
  return { tx: {} as OpenTransaction["tx"], check: undefined, close: async () => closed };
}

async function runIn(inbox: Inbox, record?: DeliveryRecord) {
  await inbox.claim(CLAIM, LONG);
  const stop = vi.fn(async () => undefined);
  const run: Run = { inbox, claim: CLAIM, lease: { lost: new AbortController().signal, stop }, attempt: 2, record };
  return { run, stop };
}

const decisionOf = async (w: World) => (await w.store.transactions.decisions([sampleId(1)])).get(sampleId(1))?.verdict;
const indexes = (w: World) => w.transport.accepted.map(({ record }) => record.index);

describe("a run that succeeded", () => {
  test("without having published is done, and decides nothing", async () => {
    const w = world();
    const { run, stop } = await runIn(w.store.inbox);
    const { core } = serviceOf(w, {});
    const complete = vi.spyOn(w.store.inbox, "complete");
    const ended = await completeRun(core, run, opened(), { ok: true });
    expect(ended).toMatchObject({ status: "ack", duplicate: false, outcome: '{"ok":true}' });
    expect(complete.mock.calls[0]![1]).not.toHaveProperty("child");
    expect(stop).toHaveBeenCalledOnce();
    expect(await w.store.inbox.look(CLAIM)).toEqual({ state: "done" });
    expect(w.events.map(({ type }) => type)).toEqual(["consumed"]);
    expect(w.of("consumed")).toMatchObject([{ consumer: "receipt", messageId: "m1", attempt: 2 }]);
    if (ended.status === "ack") await ended.afterwards?.();
    expect([await decisionOf(w), w.transport.calls]).toEqual([undefined, []]);
  });

  test("is done and decides what it published in one act, and sends it afterwards", async () => {
    const w = world();
    const records = [commit(0), undo(1)];
    await w.store.transactions.prepare(records);
    const { run } = await runIn(w.store.inbox);
    const { core } = serviceOf(w, {});
    const decide = vi.spyOn(w.store.transactions, "decide");
    const ended = await completeRun(core, run, opened({ records }), undefined);
    expect([await decisionOf(w), indexes(w)]).toEqual(["committed", []]);
    expect(decide).not.toHaveBeenCalled();
    expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "consumer" }]);
    if (ended.status === "ack") await ended.afterwards?.();
    expect(indexes(w)).toEqual([0]);
  });

  test("takes out of the log what it was refused, even where nothing else was published", async () => {
    const w = world();
    const uncertain = [commit(0)];
    await w.store.transactions.prepare(uncertain);
    const { run } = await runIn(w.store.inbox);
    await completeRun(serviceOf(w, {}).core, run, opened({ uncertain }), undefined);
    expect(w.store.snapshot().due).toEqual([]);
    expect(await decisionOf(w)).toBe("committed");
  });

  test("whose inbox is another store decides in the log first", async () => {
    const w = world();
    const records = [commit(0)];
    await w.store.transactions.prepare(records);
    const other = memoryStore({ clock: w.clock });
    const { run } = await runIn(other.inbox);
    const complete = vi.spyOn(other.inbox, "complete");
    const ended = await completeRun(serviceOf(w, {}).core, run, opened({ records }), undefined);
    expect(ended).toMatchObject({ status: "ack" });
    expect(await decisionOf(w)).toBe("committed");
    expect(complete.mock.calls[0]![1]).not.toHaveProperty("child");
  });

  test("whose messages a sweep had rolled back is not done, and comes again", async () => {
    const w = world();
    const records = [commit(0)];
    await w.store.transactions.prepare(records);
    await w.store.transactions.decide(sampleId(1), "rolledBack", AT);
    const other = memoryStore({ clock: w.clock });
    const { run } = await runIn(other.inbox);
    const { core } = serviceOf(w, {});
    const ended = await completeRun(core, run, opened({ records }), undefined);
    const afterMillis = core.settings.inboxLeaseMillis;
    expect(ended).toEqual({ status: "retry", busy: true, afterMillis, reason: expect.any(String) });
    expect(await other.inbox.look(CLAIM)).toEqual({ state: "leased", token: "t1" });
    expect(w.events).toEqual([{ type: "leaseLost", consumer: "receipt", messageId: "m1" }]);
  });

  test("whose lease another holds by now is not done, and has decided nothing", async () => {
    const w = world();
    const records = [commit(0)];
    await w.store.transactions.prepare(records);
    const { run } = await runIn(w.store.inbox);
    await w.store.inbox.release(CLAIM);
    await w.store.inbox.claim({ ...CLAIM, token: "t2" }, LONG);
    const ended = await completeRun(serviceOf(w, {}).core, run, opened({ records }), undefined);
    expect(ended).toMatchObject({ status: "retry", busy: true });
    expect(await decisionOf(w)).not.toBe("committed");
    expect(w.of("consumed")).toEqual([]);
  });

  test("in a service without a log is done all the same", async () => {
    const w = world();
    const { run } = await runIn(w.store.inbox, sampleRecord());
    const ended = await completeRun({ ...serviceOf(w, {}).core, store: undefined }, run, opened(), undefined);
    expect(ended).toMatchObject({ status: "ack" });
    if (ended.status === "ack") await ended.afterwards?.();
    expect(w.events.map(({ type }) => type)).toEqual(["consumed"]);
  });
});

describe("a delivery that has arrived", () => {
  test("is settled in a shared log, and told of", async () => {
    const w = world();
    const record = sampleRecord();
    await w.store.transactions.prepare([record]);
    await markDelivered(serviceOf(w, {}).core, record);
    expect(w.store.snapshot().due).toEqual([]);
    expect(w.of("delivered")).toEqual([{ type: "delivered", key: record.key, transactionId: record.transactionId }]);
  });

  test("that the log could not be told of is left to the sweep", async () => {
    const w = world();
    const log = faulty(w.store, (name) => (name === "transactions.record" ? "unreachable" : "none"));
    await markDelivered(serviceOf(w, { log }).core, sampleRecord());
    expect(w.of("delivered")).toEqual([]);
    expect(w.of("recordFailed")).toHaveLength(1);
  });

  test("of which there is no record is nobody's business", async () => {
    const w = world();
    await markDelivered(serviceOf(w, {}).core, undefined);
    expect(w.events).toEqual([]);
  });
});

describe("a run that failed", () => {
  test("frees its message at once, and says what the handler said on purpose", async () => {
    for (const [error, expected] of [
      [new Error("secret"), { status: "retry", busy: false, reason: "the handler threw Error" }],
      [new TypeError("secret"), { status: "retry", busy: false, reason: "the handler threw TypeError" }],
      ["secret", { status: "retry", busy: false, reason: "the handler threw string" }],
      [new RetryableError("later"), { status: "retry", busy: false, reason: "later" }],
      [
        new RetryableError("later", { retryAfter: "2s" }),
        { status: "retry", busy: false, reason: "later", afterMillis: 2_000 },
      ],
      [new FatalError("never"), { status: "dead", reason: "never" }],
    ] as const) {
      const w = world();
      const { run, stop } = await runIn(w.store.inbox);
      expect(await failRun(serviceOf(w, {}).core, run, opened(), error)).toStrictEqual(expected);
      expect(stop).toHaveBeenCalledOnce();
      expect(await w.store.inbox.look(CLAIM)).toEqual({ state: "new" });
      const fatal = error instanceof FatalError;
      expect(w.events).toEqual([{ type: "consumeFailed", consumer: "receipt", messageId: "m1", fatal, error }]);
    }
  });

  test("rolls back what it published, and sends what is for that", async () => {
    const w = world();
    const records = [commit(0), undo(1)];
    await w.store.transactions.prepare(records);
    const { run } = await runIn(w.store.inbox);
    await failRun(serviceOf(w, {}).core, run, opened({ records }), new Error("no"));
    expect([await decisionOf(w), indexes(w)]).toEqual(["rolledBack", [1]]);
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "consumer" }]);
  });

  test("that published nothing decides nothing", async () => {
    const w = world();
    const { run } = await runIn(w.store.inbox);
    await failRun(serviceOf(w, {}).core, run, opened(), new Error("no"));
    expect(await decisionOf(w)).toBeUndefined();
  });

  test("is told of where it could not be undone, and where its message could not be freed", async () => {
    const w = world();
    const inbox: Inbox = { ...w.store.inbox, release: () => Promise.reject(new Error("down")) };
    const { run } = await runIn(inbox);
    const failing = new Error("no undo");
    const ended = await endFailed(serviceOf(w, {}).core, run, new Error("no"), () => Promise.reject(failing));
    expect(ended).toMatchObject({ status: "retry" });
    expect(w.of("background")).toEqual([
      { type: "background", error: expect.objectContaining({ code: "ERR_INBOX_UNAVAILABLE" }) },
      { type: "background", error: failing },
    ]);
  });
});
