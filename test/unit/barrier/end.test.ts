import { describe, expect, test, vi } from "vitest";
import { endBarrier, freshRow } from "../../../src/core/barrier-end.ts";
import type { ClosedBarrier } from "../../../src/core/barrier-transaction.ts";
import type { DeliveryRecord } from "../../../src/model/delivery.ts";
import type { AnyDatabase, NewDecision } from "../../../src/ports/database.ts";
import { newDecision, newIntent } from "../../../src/testing/database-samples.ts";
import { AT, LONG, sampleId, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import type { MemoryWorld } from "../../support/barrier-world.ts";

const ID = sampleId(1);
const message = (): DeliveryRecord => sampleRecord({ deadlineMillis: LONG });
const decision = (): NewDecision => newDecision(1, { source: SOURCE });

interface SetUp extends Partial<Omit<ClosedBarrier, "hint" | "intent">> {
  /** Whether it has messages for a rollback. */
  readonly kept?: boolean;
  /** Whether a hint was given. */
  readonly hinted?: boolean;
}

/** A transaction that has ended, and what its end calls. */
function ended(w: MemoryWorld, { kept = false, hinted = true, ...more }: SetUp = {}) {
  const drop = vi.fn(async () => undefined);
  const given = vi.fn();
  const correct = vi.fn(async () => undefined);
  const hint = {
    drop,
    get given() {
      given();
      return Promise.resolve();
    },
  };
  const closed: ClosedBarrier = {
    id: ID,
    database: "main",
    phase: "open",
    decision: undefined,
    waiting: [],
    dropped: false,
    used: false,
    failed: false,
    outcome: "null",
    consumed: undefined,
    intent: { kept, add: async () => undefined, correct },
    hint: hinted ? hint : undefined,
    decide: () => decision(),
    use: (act: (database: AnyDatabase) => Promise<never>) => act(w.database),
    ...more,
  };
  const { core } = serviceOf(w, { databases: { main: w.database } });
  return { core, closed, drop, given, correct };
}

describe("the end of a transaction that committed", () => {
  test("sends what its row holds, settles the row, and takes the hint back", async () => {
    const w = memoryWorld();
    await w.database.write({ decision: decision() });
    const { core, closed, drop } = ended(w, { phase: "committed", decision: decision() });
    const ending = endBarrier(core, closed, false);
    expect(ending).toMatchObject({ undecided: false, unprotected: 0, outcome: "committed" });
    expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "request" }]);
    expect(w.sent()).toEqual([]);
    await ending.afterwards?.();
    expect(w.sent()).toEqual(["order.paid"]);
    expect((await w.row(ID))?.settled).toBe(true);
    expect(drop).toHaveBeenCalledOnce();
  });

  test("keeps the hint as long as anything of its row is left", async () => {
    const w = memoryWorld();
    await w.database.write({ decision: decision() });
    w.transport.fail("unreachable");
    const { core, closed, drop, given } = ended(w, { phase: "committed", decision: decision() });
    await endBarrier(core, closed, true).afterwards?.();
    expect((await w.row(ID))?.settled).toBe(false);
    expect(drop).not.toHaveBeenCalled();
    expect(given).toHaveBeenCalled();
  });

  test("without a row only takes its hint back, if it has given one", async () => {
    const w = memoryWorld();
    const { core, closed, drop } = ended(w, { phase: "committed" });
    await endBarrier(core, closed, true).afterwards?.();
    expect(drop).toHaveBeenCalledOnce();
    const bare = ended(w, { phase: "committed", hinted: false });
    expect(endBarrier(bare.core, bare.closed, true).afterwards).toBeUndefined();
    expect(w.events).toEqual([]);
  });

  test("and gave no hint, as it has no log, sends all the same", async () => {
    const w = memoryWorld();
    await w.database.write({ decision: decision() });
    const { core, closed } = ended(w, { phase: "committed", decision: decision(), hinted: false });
    await endBarrier(core, closed, true).afterwards?.();
    expect([w.sent(), w.of("recordFailed")]).toEqual([["order.paid"], []]);
  });

  test("whose row cannot be settled tells of it, and waits for its hint", async () => {
    const w = memoryWorld();
    const { core, closed, given } = ended(w, {
      phase: "committed",
      decision: decision(),
      use: () => Promise.reject(new Error("down")),
    });
    await endBarrier(core, closed, true).afterwards?.();
    expect(w.of("recordFailed")).toHaveLength(1);
    expect(given).toHaveBeenCalled();
  });
});

describe("the end of a transaction whose COMMIT nobody has heard of", () => {
  test("is undecided, and sends what it finds committed", async () => {
    const w = memoryWorld();
    await w.database.write({ decision: decision() });
    const { core, closed } = ended(w, { phase: "unknown" });
    const ending = endBarrier(core, closed, true);
    expect(ending).toMatchObject({ undecided: true });
    expect(ending).not.toHaveProperty("outcome");
    await ending.afterwards?.();
    expect(w.sent()).toEqual(["order.paid"]);
  });

  test("does nothing where it finds nothing, or nothing but an intent", async () => {
    for (const intended of [false, true]) {
      const w = memoryWorld();
      if (intended) await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE }));
      const { core, closed, drop } = ended(w, { phase: "unknown" });
      await endBarrier(core, closed, true).afterwards?.();
      expect([w.sent(), w.of("recordFailed"), drop.mock.calls]).toEqual([[], [], []]);
    }
  });
});

describe("the end of a transaction that did not commit", () => {
  test("and came too late is rolled back already: it only waits for its hint", async () => {
    const w = memoryWorld();
    await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE }));
    const { core, closed, given, drop } = ended(w, { phase: "late", kept: true, dropped: true });
    const ending = endBarrier(core, closed, true);
    expect(ending).toMatchObject({ undecided: false, outcome: "rolledBack" });
    await ending.afterwards?.();
    expect([w.of("decided"), w.sent(), await w.row(ID), drop.mock.calls]).toEqual([[], [], undefined, []]);
    expect(given).toHaveBeenCalled();
  });

  test("rolls back what it left messages for, corrects what may stand there, and sends them", async () => {
    const w = memoryWorld();
    await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE }));
    const { core, closed, correct } = ended(w, { kept: true });
    const ending = endBarrier(core, closed, true);
    expect(ending).toMatchObject({ outcome: "rolledBack" });
    expect(w.of("decided")).toEqual([]);
    await ending.afterwards?.();
    expect(correct).toHaveBeenCalledWith(w.database);
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
    expect(await w.row(ID)).toMatchObject({ verdict: "rolledBack", settled: true });
    expect(w.sent()).toEqual(["order.paid"]);
  });

  test("says nothing of a rollback where it finds a commit, or no verdict yet", async () => {
    const w = memoryWorld();
    await w.database.write({ decision: decision() });
    const { core, closed } = ended(w, { kept: true });
    await endBarrier(core, closed, true).afterwards?.();
    expect(w.of("decided")).toEqual([]);
    const { barrier } = w.database;
    const database = { ...w.database, barrier: { ...barrier, rollBack: async () => undefined } };
    const locked = ended(w, { kept: true, use: (act: (opened: AnyDatabase) => Promise<never>) => act(database) });
    await endBarrier(locked.core, locked.closed, true).afterwards?.();
    expect([w.of("decided"), w.of("recordFailed")]).toEqual([[], []]);
  });

  test("as its message was done before undoes nothing of that", async () => {
    const w = memoryWorld();
    await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE }));
    const { core, closed } = ended(w, { phase: "duplicate", kept: true });
    await endBarrier(core, closed, true).afterwards?.();
    expect(await w.row(ID)).toMatchObject({ verdict: "committed", records: [] });
    expect(w.sent()).toEqual([]);
  });

  test("is told of where messages for a commit were dropped, and nothing else decides", async () => {
    const w = memoryWorld();
    const { core, closed, drop } = ended(w, { dropped: true });
    const ending = endBarrier(core, closed, false);
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
    await ending.afterwards?.();
    expect(drop).toHaveBeenCalledOnce();
  });

  test("is unused where it did nothing, and rolled back where it did anything", () => {
    const outcome = (more: SetUp) => {
      const { core, closed } = ended(memoryWorld(), more);
      return endBarrier(core, closed, true).outcome;
    };
    expect(outcome({})).toBe("unused");
    expect(outcome({ used: true })).toBe("rolledBack");
    expect(outcome({ dropped: true })).toBe("rolledBack");
    expect(outcome({ kept: true })).toBe("rolledBack");
  });

  test("is an error only where a success forgot to commit what it published", () => {
    const errorOf = (more: SetUp, success = true) => {
      const { core, closed } = ended(memoryWorld(), { waiting: [message()], dropped: true, ...more });
      return endBarrier(core, closed, success).error;
    };
    expect(errorOf({})).toMatchObject({ code: "ERR_NOT_COMMITTED" });
    expect(errorOf({}, false)).toBeUndefined();
    expect(errorOf({ waiting: [] })).toBeUndefined();
    expect(errorOf({ phase: "duplicate" })).toBeUndefined();
  });
});

test("a decision just made is a row that nobody has changed", () => {
  const made = newDecision(1, { source: SOURCE, at: AT });
  expect(freshRow(made)).toEqual({
    transactionId: ID,
    verdict: "committed",
    decidedAt: AT,
    source: SOURCE,
    records: made.records,
    results: {},
    attempts: 0,
    version: 0,
    settled: false,
  });
});
