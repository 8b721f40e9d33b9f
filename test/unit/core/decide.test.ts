import { describe, expect, test, vi } from "vitest";
import type { Check } from "../../../src/core/core.ts";
import { endTransaction } from "../../../src/core/decide.ts";
import type { ClosedTransaction } from "../../../src/core/transaction.ts";
import type { DeliveryRecord } from "../../../src/model/delivery.ts";
import { AT, sampleId, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { faulty, world } from "../../support/world.ts";
import type { StoreFault, World } from "../../support/world.ts";

const LATER = 120_000;
const commit = (index: number) => sampleRecord({ index, deadlineMillis: LATER });
const rollback = (index: number) => sampleRecord({ index, on: "rollback", deadlineMillis: LATER });

function closed(more: Partial<ClosedTransaction> = {}): ClosedTransaction {
  return {
    id: sampleId(1),
    level: more.check === undefined ? "marked" : "checked",
    check: undefined,
    records: [],
    uncertain: [],
    unprotected: [],
    owed: [],
    proceed: false,
    overdue: false,
    ...more,
  };
}

interface SetUp {
  readonly check?: Check;
  /** What becomes of the calls of the log. */
  readonly fault?: (name: string) => StoreFault;
  /** What is in the log for certain. */
  readonly kept?: readonly DeliveryRecord[];
  /** How another has decided before. */
  readonly before?: "committed" | "rolledBack";
}

async function setUp(w: World, { check, fault = () => "none", kept = [], before }: SetUp = {}) {
  const calls: string[] = [];
  const log = faulty(w.store, (name) => {
    calls.push(name);
    return fault(name);
  });
  await w.store.transactions.prepare(kept);
  if (before !== undefined) await w.store.transactions.decide(sampleId(1), before, AT);
  const checks = check === undefined ? {} : { order: check };
  return { core: serviceOf(w, { log, checks }).core, calls };
}

const indexes = (w: World) => w.transport.accepted.map(({ record }) => record.index);
const decisionOf = async (w: World) => (await w.store.transactions.decisions([sampleId(1)])).get(sampleId(1))?.verdict;
const decideFails = (name: string): StoreFault => (name === "transactions.decide" ? "unreachable" : "none");

describe("a transaction that ends", () => {
  test("with nothing published asks nobody", async () => {
    const w = world();
    const { core, calls } = await setUp(w);
    expect(await endTransaction(core, closed(), true)).toMatchObject({ undecided: false, unprotected: 0 });
    expect(calls).toEqual([]);
  });

  test("in success commits before the response, and sends after it", async () => {
    const w = world();
    const records = [commit(0), rollback(1)];
    const { core, calls } = await setUp(w, { kept: records });
    const ending = await endTransaction(core, closed({ records }), true);
    expect([await decisionOf(w), indexes(w), calls]).toEqual(["committed", [], ["transactions.decide"]]);
    expect(ending).toMatchObject({ undecided: false, unprotected: 0 });
    await ending.afterwards?.();
    expect(indexes(w)).toEqual([0]);
    expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "request" }]);
    expect(calls).not.toContain("deadLetters.release");
    expect(w.of("unprotected")).toEqual([]);
  });

  test("in failure rolls back, and sends what is for that", async () => {
    const w = world();
    const records = [commit(0), rollback(1)];
    const { core } = await setUp(w, { kept: records });
    await (await endTransaction(core, closed({ records }), false)).afterwards?.();
    expect([await decisionOf(w), indexes(w)]).toEqual(["rolledBack", [1]]);
    expect(w.of("conflict")).toEqual([]);
  });

  test("takes out of the log what was refused to the handler before it decides", async () => {
    const w = world();
    const [records, uncertain] = [[commit(0)], [commit(1)]];
    const { core, calls } = await setUp(w, { kept: [...records, ...uncertain] });
    await (await endTransaction(core, closed({ records, uncertain }), true)).afterwards?.();
    expect(calls.slice(0, 2)).toEqual(["transactions.record", "transactions.decide"]);
    expect(indexes(w)).toEqual([0]);
  });

  test("puts into the log what is missing there before it decides", async () => {
    const w = world();
    const owed = [commit(0)];
    const { core, calls } = await setUp(w);
    await (await endTransaction(core, closed({ records: owed, owed }), true)).afterwards?.();
    expect(calls.slice(0, 2)).toEqual(["transactions.prepare", "transactions.decide"]);
    expect(indexes(w)).toEqual([0]);
  });

  test("about as late as its deadline releases what was held meanwhile, and tells where that fails", async () => {
    const w = world();
    const records = [commit(0)];
    const { core, calls } = await setUp(w, { kept: records });
    await (await endTransaction(core, closed({ records, overdue: true }), true)).afterwards?.();
    expect(calls).toContain("deadLetters.release");
    const cut = await setUp(world(), { fault: (name) => (name === "deadLetters.release" ? "unreachable" : "none") });
    const emit = vi.fn();
    await (await endTransaction({ ...cut.core, emit }, closed({ records, overdue: true }), true)).afterwards?.();
    expect(emit).toHaveBeenCalledWith({ type: "recordFailed", error: expect.anything() });
    expect(emit).toHaveBeenCalledWith(expect.objectContaining({ type: "published" }));
  });
});

describe("a success that another had rolled back before", () => {
  test("is flagged, and what it would have sent is kept for a person, nothing else", async () => {
    const w = world();
    const records = [commit(0), rollback(1)];
    const { core } = await setUp(w, { kept: records, before: "rolledBack" });
    const ending = await endTransaction(core, closed({ records, unprotected: [commit(2)] }), true);
    expect(ending).toMatchObject({ unprotected: 0 });
    await ending.afterwards?.();
    expect(w.of("decided")).toEqual([]);
    expect(w.of("conflict")).toEqual([{ type: "conflict", transactionId: sampleId(1), deliveries: 3 }]);
    expect(w.of("dead").map(({ key, reason }) => [key, reason])).toEqual([
      [commit(0).key, "conflict"],
      [commit(2).key, "conflict"],
    ]);
    expect(indexes(w)).toEqual([1]);
    expect(w.of("unprotected")).toEqual([]);
  });

  test("is told of where it cannot be kept", async () => {
    const w = world();
    const records = [commit(0), commit(1)];
    const fault = (name: string): StoreFault => (name === "deadLetters.bury" ? "unreachable" : "none");
    const { core } = await setUp(w, { kept: records, before: "rolledBack", fault });
    await (await endTransaction(core, closed({ records }), true)).afterwards?.();
    expect(w.of("recordFailed")).toHaveLength(2);
    expect(w.of("revoked")).toHaveLength(2);
  });

  test("is no failure: a rollback that finds a commit is flagged, and buries nothing", async () => {
    const w = world();
    const records = [commit(0)];
    const { core } = await setUp(w, { kept: records, before: "committed" });
    await (await endTransaction(core, closed({ records }), false)).afterwards?.();
    expect(w.of("conflict")).toHaveLength(1);
    expect(w.of("dead")).toEqual([]);
    expect(indexes(w)).toEqual([0]);
  });
});

describe("a decision that cannot be written", () => {
  test("is left open, and tried once more after the response", async () => {
    const w = world();
    const records = [commit(0)];
    let failing = 1;
    const fault = (name: string) => (name === "transactions.decide" && failing-- > 0 ? "unreachable" : "none");
    const { core } = await setUp(w, { kept: records, fault });
    const ending = await endTransaction(core, closed({ records }), true);
    expect(ending).toMatchObject({ undecided: true, unprotected: 0 });
    expect(w.of("undecided")).toHaveLength(1);
    await ending.afterwards?.();
    expect([await decisionOf(w), indexes(w)]).toEqual(["committed", [0]]);
    expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "request" }]);
  });

  test("of a failure is tried once more as a rollback", async () => {
    const w = world();
    const records = [commit(0)];
    let failing = 1;
    const fault = (name: string) => (name === "transactions.decide" && failing-- > 0 ? "unreachable" : "none");
    const { core } = await setUp(w, { kept: records, fault });
    await (await endTransaction(core, closed({ records }), false)).afterwards?.();
    expect([await decisionOf(w), indexes(w)]).toEqual(["rolledBack", []]);
  });

  test("again is told of, and left to the sweep", async () => {
    const w = world();
    const records = [commit(0)];
    const { core } = await setUp(w, { kept: records, fault: decideFails });
    await (await endTransaction(core, closed({ records }), true)).afterwards?.();
    expect(w.of("recordFailed")).toHaveLength(1);
    expect([await decisionOf(w), indexes(w)]).toEqual([undefined, []]);
  });

  test("where the route goes on without the log sends a success from memory, and leaves a failure open", async () => {
    const w = world();
    const [records, unprotected] = [[commit(0), rollback(1)], [commit(2)]];
    const { core } = await setUp(w, { fault: decideFails });
    const ending = await endTransaction(core, closed({ records, unprotected, proceed: true }), true);
    expect(ending).toMatchObject({ undecided: false, unprotected: 2 });
    await ending.afterwards?.();
    expect(indexes(w)).toEqual([0, 2]);
    expect(w.of("unprotected")).toEqual([{ type: "unprotected", transactionId: sampleId(1), deliveries: 2 }]);
    const failed = await endTransaction(core, closed({ records, unprotected, proceed: true }), false);
    expect(failed).toMatchObject({ undecided: true, unprotected: 0 });
  });
});

describe("what only memory holds", () => {
  test("needs no answer of the log before the response, and goes out after a success", async () => {
    const w = world();
    const { core, calls } = await setUp(w);
    const ending = await endTransaction(core, closed({ unprotected: [commit(0)], proceed: true }), true);
    expect([calls, ending.unprotected]).toEqual([[], 1]);
    await ending.afterwards?.();
    expect(indexes(w)).toEqual([0]);
  });

  test("goes nowhere after a failure", async () => {
    const w = world();
    const { core } = await setUp(w);
    const ending = await endTransaction(core, closed({ unprotected: [commit(0)], proceed: true }), false);
    expect(ending.unprotected).toBe(0);
    await ending.afterwards?.();
    expect([indexes(w), w.of("unprotected")]).toEqual([[], []]);
  });

  test("goes out beside what the log has, by the log's decision", async () => {
    const w = world();
    const records = [commit(0)];
    const { core } = await setUp(w, { kept: records });
    const ending = await endTransaction(core, closed({ records, unprotected: [commit(1)], proceed: true }), true);
    expect(ending).toMatchObject({ undecided: false, unprotected: 1 });
    await ending.afterwards?.();
    expect(indexes(w)).toEqual([0, 1]);
    expect(w.of("unprotected")).toMatchObject([{ deliveries: 1 }]);
  });
});

describe("a failure with a check", () => {
  test("is decided after the response, as the check answers", async () => {
    for (const [answer, sent] of [
      ["committed", [0]],
      ["rolledBack", [1]],
    ] as const) {
      const w = world();
      const records = [commit(0), rollback(1)];
      const { core, calls } = await setUp(w, { kept: records, check: () => answer });
      const ending = await endTransaction(core, closed({ records, check: "order" }), false);
      expect([calls, ending.undecided]).toEqual([[], false]);
      await ending.afterwards?.();
      expect([await decisionOf(w), indexes(w)]).toEqual([answer, sent]);
      expect(w.of("decided")).toMatchObject([{ verdict: answer, by: "check" }]);
      expect(w.of("conflict")).toEqual([]);
    }
  });

  test("that the check does not know is left to the sweep; what only memory holds is lost, and told of", async () => {
    const w = world();
    const records = [commit(0)];
    const { core } = await setUp(w, { kept: records, check: () => "unknown" });
    await (await endTransaction(core, closed({ records, check: "order" }), false)).afterwards?.();
    expect([await decisionOf(w), w.of("lost")]).toEqual([undefined, []]);
    const unprotected = [commit(1), commit(2)];
    await (await endTransaction(core, closed({ records, unprotected, check: "order" }), false)).afterwards?.();
    expect(w.of("lost")).toEqual([{ type: "lost", transactionId: sampleId(1), deliveries: 2 }]);
  });

  test("stays undecided where what was refused could not be taken out of the log", async () => {
    const w = world();
    const [records, uncertain] = [[commit(0)], [commit(1)]];
    const fault = (name: string): StoreFault => (name === "transactions.record" ? "unreachable" : "none");
    const { core } = await setUp(w, { kept: [...records, ...uncertain], check: () => "committed", fault });
    await (await endTransaction(core, closed({ records, uncertain, check: "order" }), false)).afterwards?.();
    expect([await decisionOf(w), indexes(w)]).toEqual([undefined, []]);
    expect(w.of("undecided")).toMatchObject([{ transactionId: sampleId(1) }]);
  });

  test("and a log out of reach is sent from memory where that is allowed and the check says committed", async () => {
    for (const [answer, proceed, sent] of [
      ["committed", true, [0, 1]],
      ["committed", false, []],
      ["rolledBack", true, []],
      ["rolledBack", false, []],
    ] as const) {
      const w = world();
      const { core } = await setUp(w, { check: () => answer, fault: decideFails });
      const ended = closed({ records: [commit(0)], unprotected: [commit(1)], check: "order", proceed });
      await (await endTransaction(core, ended, false)).afterwards?.();
      expect(indexes(w), `${answer}, ${proceed}`).toEqual(sent);
      expect(w.of("undecided"), `${answer}, ${proceed}`).toHaveLength(sent.length > 0 ? 0 : 1);
    }
  });

  test("whose success is certain asks no check", async () => {
    const w = world();
    const records = [commit(0)];
    const check = vi.fn<Check>(() => "rolledBack");
    const { core } = await setUp(w, { kept: records, check });
    await (await endTransaction(core, closed({ records, check: "order" }), true)).afterwards?.();
    expect(check).not.toHaveBeenCalled();
    expect(await decisionOf(w)).toBe("committed");
  });
});
