import { describe, expect, test } from "vitest";
import { memoryStore } from "aftercommit/memory";
import { checkBack } from "../../../src/core/check-back.ts";
import type { Check } from "../../../src/core/core.ts";
import { checkBackIntent, commitEmpty } from "../../../src/core/check-back-intent.ts";
import type { Claim, Mark } from "../../../src/ports/transaction-log.ts";
import { newIntent } from "../../../src/testing/database-samples.ts";
import { AT, claimAll, LONG, sampleId, sampleRecord, sampleRecords } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import type { MemoryWorld } from "../../support/barrier-world.ts";
import { intercepted, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const ID = sampleId(1);
const PARENT = { consumer: "receipt", messageId: "m1", token: "t1" };

/** Claims of what was prepared, as a sweeper has them. */
async function claimed(w: World, count: number, facts: Parameters<typeof sampleRecord>[0] = {}): Promise<Claim[]> {
  await w.store.transactions.prepare(sampleRecords(count, facts));
  await w.clock.advance(1);
  return claimAll({ store: w.store, advance: (millis: number) => w.clock.advance(millis) } as never, count);
}

function setUp(w: World, check?: Check) {
  const postponed: unknown[] = [];
  const log = intercepted(w.store, async (call) => call());
  const record: typeof log.transactions.record = async (changes) => {
    postponed.push(...changes);
    await w.store.transactions.record(changes);
  };
  const watched = { ...log, inbox: w.store.inbox, transactions: { ...log.transactions, record } };
  const { core } = serviceOf(w, { log: watched, ...(check === undefined ? {} : { checks: { order: check } }) });
  return { core, postponed };
}

const decisionOf = async (w: World) => (await w.store.transactions.decisions([ID])).get(ID)?.verdict;
const nothing = { published: 0, held: 0 };

describe("a check-back", () => {
  test("counts the attempts of the transaction, not of its last record", async () => {
    const w = world();
    const asked: number[] = [];
    const { core, postponed } = setUp(w, () => "unknown");
    const [a, b] = (await claimed(w, 2, { check: "order" })) as [Claim, Claim];
    const emit: typeof core.emit = (event) => {
      if (event.type === "checkFailed") asked.push(event.attempt);
    };
    const claims = [
      { ...a, attempts: 3 },
      { ...b, attempts: 1 },
    ];
    expect(await checkBack({ ...core, emit }, ID, claims)).toEqual(nothing);
    expect(postponed).toMatchObject([{ attempts: 4 }, { attempts: 4 }]);
    const throws = { ...core, emit, checks: { order: () => Promise.reject(new Error("down")) } };
    await checkBack(throws, ID, claims);
    expect(asked).toEqual([4]);
  });

  test("rolls back only where the first no was about all of the transaction's records", async () => {
    const w = world();
    const { core, postponed } = setUp(w, () => "rolledBack");
    const [a, b] = (await claimed(w, 2, { check: "order" })) as [Claim, Claim];
    const marked = (first: Mark, second: Mark) => [
      { ...a, mark: first },
      { ...b, mark: second },
    ];
    for (const claims of [marked("half", "half"), marked("doubted", "half"), marked("half", "doubted")]) {
      postponed.length = 0;
      expect(await checkBack(core, ID, claims)).toEqual(nothing);
      const afterMillis = core.settings.checkSpacingMillis;
      expect(postponed).toMatchObject([
        { mark: "doubted", afterMillis },
        { mark: "doubted", afterMillis },
      ]);
    }
    expect(await decisionOf(w)).toBeUndefined();
    await checkBack(core, ID, marked("doubted", "doubted"));
    expect(await decisionOf(w)).toBe("rolledBack");
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "check" }]);
  });

  test("without a check holds for a person, and tells of what it held", async () => {
    const w = world();
    const { core } = setUp(w);
    const claims = await claimed(w, 2);
    expect(await checkBack(core, ID, claims)).toEqual({ published: 0, held: 2 });
    expect(w.of("held")).toHaveLength(1);
    expect(await checkBack(core, ID, claims)).toEqual(nothing);
    expect(w.of("held")).toHaveLength(1);
  });

  test("by a check that only another deployment has leaves all as it was, for a while", async () => {
    const w = world();
    const { core, postponed } = setUp(w);
    const [claim] = (await claimed(w, 1, { check: "order" })) as [Claim];
    expect(await checkBack(core, ID, [{ ...claim, mark: "doubted", attempts: 3 }])).toEqual(nothing);
    expect(postponed).toMatchObject([{ mark: "doubted", attempts: 3, afterMillis: 300_000 }]);
  });
});

describe("a check-back of what a consumer's run published", () => {
  test("waits as long as the run holds its lease, and leaves the rest as it was", async () => {
    const w = world();
    const { core, postponed } = setUp(w);
    await w.store.inbox.claim(PARENT, LONG);
    const [claim] = (await claimed(w, 1, { parent: PARENT })) as [Claim];
    expect(await checkBack(core, ID, [{ ...claim, attempts: 2 }])).toEqual(nothing);
    expect(postponed).toMatchObject([{ mark: "half", attempts: 2, afterMillis: core.settings.inboxLeaseMillis }]);
    expect(await decisionOf(w)).toBeUndefined();
  });

  test("rolls back once the lease has lapsed", async () => {
    const w = world();
    const { core } = setUp(w);
    const claims = await claimed(w, 1, { parent: PARENT });
    expect(await checkBack(core, ID, claims)).toEqual(nothing);
    expect(await decisionOf(w)).toBe("rolledBack");
    expect(w.of("decided")).toMatchObject([{ by: "sweep" }]);
  });

  test("asks the consumer's own inbox too: for that very run, and no other one", async () => {
    for (const [token, verdict] of [
      ["t1", undefined],
      ["t2", "rolledBack"],
    ] as const) {
      const w = world();
      const { core } = setUp(w);
      const other = memoryStore({ clock: w.clock });
      await other.inbox.claim({ ...PARENT, token }, LONG);
      const claims = await claimed(w, 1, { parent: PARENT });
      await checkBack({ ...core, inbox: other.inbox }, ID, claims);
      expect(await decisionOf(w), token).toBe(verdict);
    }
  });
});

describe("a check-back of messages for a rollback", () => {
  const coreOf = (w: MemoryWorld) => serviceOf(w, { databases: { main: w.database } }).core;
  const records = (parent?: typeof PARENT) => [
    sampleRecord({ on: "rollback", deadlineMillis: LONG, ...(parent === undefined ? {} : { parent }) }),
  ];

  test("rolls back what nobody has decided, and says so once", async () => {
    const w = memoryWorld();
    await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE, records: records() }));
    const row = await checkBackIntent(coreOf(w), w.database, ID);
    expect(row).toMatchObject({ verdict: "rolledBack", settled: false });
    expect(w.of("decided")).toEqual([{ type: "decided", transactionId: ID, verdict: "rolledBack", by: "sweep" }]);
  });

  test("tells nobody of a decision that another one made", async () => {
    const w = memoryWorld();
    const { barrier } = w.database;
    await barrier.intend(newIntent(1, 1, { source: SOURCE, records: records() }));
    const made = await barrier.rollBack(ID, AT, 0);
    for (const change of [{ version: 1 }, { attempts: 1 }, { verdict: "committed" as const }]) {
      const rollBack: typeof barrier.rollBack = async () => made && { ...made, ...change };
      const row = await checkBackIntent(coreOf(w), { ...w.database, barrier: { ...barrier, rollBack } }, ID);
      expect(row).toMatchObject(change);
    }
    expect(w.of("decided")).toEqual([]);
  });

  test("that is not to be had in time is no verdict, and an error is told of", async () => {
    const w = memoryWorld();
    const { barrier } = w.database;
    const waiting = { ...w.database, barrier: { ...barrier, rollBack: async () => undefined } };
    expect(await checkBackIntent(coreOf(w), waiting, ID)).toBeUndefined();
    expect([w.of("decided"), w.of("checkFailed")]).toEqual([[], []]);
    const failing = { ...w.database, barrier: { ...barrier, rollBack: () => Promise.reject(new Error("down")) } };
    expect(await checkBackIntent(coreOf(w), failing, ID)).toBeUndefined();
    expect(w.of("checkFailed")).toMatchObject([{ transactionId: ID, attempt: 1 }]);
  });

  test("of a consumer's run commits nothing where another run has done the message, and rolls back else", async () => {
    for (const done of [true, false]) {
      const w = memoryWorld();
      const { inbox } = w.database;
      const other = { ...PARENT, token: "t2" };
      await inbox.claim(other, LONG);
      if (done) await inbox.complete(other, { outcome: "1", retentionMillis: LONG });
      await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE, records: records(PARENT) }));
      const row = await checkBackIntent(coreOf(w), w.database, ID);
      expect(row).toMatchObject({ verdict: done ? "committed" : "rolledBack" });
      expect(row?.records).toHaveLength(done ? 0 : 1);
      expect(await w.row(ID)).toMatchObject({ verdict: row?.verdict, source: SOURCE });
    }
  });

  test("that commits nothing finds the decision that was there before it", async () => {
    const w = memoryWorld();
    await w.database.barrier.intend(newIntent(1, 1, { source: SOURCE, records: records() }));
    await w.database.barrier.rollBack(ID, AT, 0);
    expect(await commitEmpty(coreOf(w), w.database, ID)).toMatchObject({ verdict: "rolledBack" });
  });
});
