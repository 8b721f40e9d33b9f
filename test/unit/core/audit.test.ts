import { describe, expect, test, vi } from "vitest";
import { audit, auditIsDue } from "../../../src/core/audit.ts";
import type { Core } from "../../../src/core/core.ts";
import type { TransportDeadLetter } from "../../../src/ports/transport.ts";
import { newDecision, newIntent } from "../../../src/testing/database-samples.ts";
import { sampleId } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import type { MemoryWorld } from "../../support/barrier-world.ts";
import { orderPaid, PUBLIC_URL, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const always = () => true;
const emptyReport = () => ({ claimed: 0, published: 0, confirmed: 0, held: 0, undecodable: 0, buried: 0 });

function coreOf(w: MemoryWorld): Core {
  return serviceOf(w, { databases: { main: w.database } }).core;
}

test("an audit is due after its interval, at once where the clock went back, and by chance", () => {
  const w = world();
  const { core } = serviceOf(w, {});
  const auditEveryMillis = 60_000;
  const due = (ago: number, draw = 1) =>
    auditIsDue({
      ...core,
      settings: { ...core.settings, auditEveryMillis },
      audit: { lastAt: w.clock.now() - ago },
      crypto: { ...core.crypto, random: () => new Uint8Array([draw]) },
    });
  expect([due(0), due(59_999), due(60_000), due(60_001), due(-1)]).toEqual([false, false, true, true, true]);
  expect([due(0, 0), due(0, 16), due(0, 240), due(0, 15), due(0, 255)]).toEqual([true, true, true, false, false]);
});

describe("an audit of a database", () => {
  test("counts what it leased, what it published and what it could not read", async () => {
    const w = memoryWorld();
    const { barrier } = w.database;
    const own = { source: SOURCE };
    await w.database.write({ decision: newDecision(1, own) });
    await w.database.write({ decision: newDecision(2, own) });
    await barrier.intend(newIntent(3, 1, own));
    let first = true;
    const database = {
      ...w.database,
      barrier: {
        ...barrier,
        async claimUnsettled(options: Parameters<typeof barrier.claimUnsettled>[0]) {
          const found = await barrier.claimUnsettled(options);
          const undecodable = first ? ["a", "b"] : [];
          first = false;
          return { ...found, undecodable };
        },
      },
    };
    const core = serviceOf(w, { databases: { main: database } }).core;
    const report = emptyReport();
    await audit(core, report, always);
    expect(report).toEqual({ ...emptyReport(), claimed: 3, published: 3, undecodable: 2 });
    expect(w.of("undecodable")).toEqual([
      { type: "undecodable", record: "a" },
      { type: "undecodable", record: "b" },
    ]);
    expect((await w.row(sampleId(3)))?.verdict).toBe("rolledBack");
  });

  test("does not send what a check-back found settled already", async () => {
    const w = memoryWorld();
    const { barrier } = w.database;
    await barrier.intend(newIntent(1, 1, { source: SOURCE }));
    const rollBack: typeof barrier.rollBack = async (...asked) => {
      const row = await barrier.rollBack(...asked);
      return row && { ...row, settled: true };
    };
    const settle = vi.fn(barrier.settle);
    const core = serviceOf(w, {
      databases: { main: { ...w.database, barrier: { ...barrier, rollBack, settle } } },
    }).core;
    await audit(core, emptyReport(), always);
    expect(settle).not.toHaveBeenCalled();
    expect(w.sent()).toEqual([]);
  });

  test("goes on with the next one where one decision cannot be had", async () => {
    const w = memoryWorld();
    const { barrier } = w.database;
    for (const n of [1, 2]) await barrier.intend(newIntent(n, 1, { source: SOURCE }));
    let locked = true;
    const rollBack: typeof barrier.rollBack = async (...asked) => {
      const now = locked;
      locked = false;
      return now ? undefined : barrier.rollBack(...asked);
    };
    const core = serviceOf(w, { databases: { main: { ...w.database, barrier: { ...barrier, rollBack } } } }).core;
    const report = emptyReport();
    await audit(core, report, always);
    expect(report).toMatchObject({ claimed: 2, published: 1 });
    expect(w.of("recordFailed")).toEqual([]);
  });

  test("drops what is past its retention, in parts of 200, as long as a part is full, 25 parts at most", async () => {
    const drops = async (results: (call: number) => number, inTime: () => boolean = always) => {
      const w = memoryWorld();
      const cleanUp = vi.fn(async () => results(cleanUp.mock.calls.length));
      const database = { ...w.database, barrier: { ...w.database.barrier, cleanUp } };
      await audit(serviceOf(w, { databases: { main: database } }).core, emptyReport(), inTime);
      expect(w.of("recordFailed")).toEqual([]);
      return cleanUp.mock.calls.length;
    };
    expect(await drops(() => 0)).toBe(1);
    expect(await drops(() => 199)).toBe(1);
    expect(await drops((call) => (call < 3 ? 200 : 12))).toBe(3);
    expect(await drops(() => 200)).toBe(25);
    let looks = 0;
    expect(
      await drops(
        () => 200,
        () => looks++ < 4,
      ),
    ).toBe(3);
  });
});

describe("an audit of the transport", () => {
  const body = (n: number) =>
    JSON.stringify({
      specversion: "1.0",
      id: `${sampleId(n)}_0`,
      source: "a",
      type: orderPaid.name,
      time: "2027-01-15T08:00:00.000Z",
      datacontenttype: "application/json",
      transactionid: sampleId(n),
      messageindex: 0,
      data: {},
    });
  const letter = (n: number): TransportDeadLetter => ({
    url: `${PUBLIC_URL}/consumers/receipt`,
    body: body(n),
    response: "",
    transportId: `dlq-${n}`,
  });

  /** A transport whose dead letters lie on so many pages, one on each. */
  function paged(w: World, pages: number) {
    const deadLetters = vi.fn(async (cursor?: string) => {
      const page = Number(cursor ?? 0);
      return { letters: [letter(page + 1)], ...(page + 1 < pages ? { cursor: String(page + 1) } : {}) };
    });
    return { deadLetters, transport: { ...w.transport, reports: { ...w.transport.reports, deadLetters } } };
  }

  test("reads page after page, ten at most", async () => {
    for (const [pages, read] of [
      [1, 1],
      [3, 3],
      [10, 10],
      [11, 10],
    ] as const) {
      const w = world();
      const { deadLetters, transport } = paged(w, pages);
      const report = emptyReport();
      await audit(serviceOf(w, { transport }).core, report, always);
      expect([deadLetters.mock.calls.length, report.buried], `${pages} pages`).toEqual([read, read]);
    }
  });

  test("ends in the middle of a page where its time is over", async () => {
    const w = world();
    const { deadLetters, transport } = paged(w, 5);
    const report = emptyReport();
    let looks = 0;
    await audit(serviceOf(w, { transport }).core, report, () => looks++ < 2);
    expect([deadLetters.mock.calls.length, report.buried]).toEqual([3, 2]);
  });

  test("goes on after a letter that could not be recorded, and tells of it", async () => {
    const w = world();
    const { transport } = paged(w, 3);
    const log = { ...w.store, deadLetters: { ...w.store.deadLetters } };
    let failing = true;
    log.deadLetters.bury = async (dead) => {
      const now = failing;
      failing = false;
      if (now) throw new Error("full");
      return w.store.deadLetters.bury(dead);
    };
    const report = emptyReport();
    await audit(serviceOf(w, { transport, log }).core, report, always);
    expect(report.buried).toBe(2);
    expect(w.of("recordFailed")).toHaveLength(1);
  });

  test("is none where there is no transport, or one that keeps no account", async () => {
    const w = world();
    const { reports: _reports, ...silent } = w.transport;
    for (const transport of [undefined, silent]) {
      await audit({ ...serviceOf(w, {}).core, transport }, emptyReport(), always);
    }
    expect(w.of("recordFailed")).toEqual([]);
  });
});

test("an audit cleans the log up, by the retention of decisions, where there is a log", async () => {
  const w = memoryWorld();
  const cleanUp = vi.fn(w.store.cleanUp);
  const core = { ...coreOf(w), store: { ...w.store, cleanUp } };
  await audit(core, emptyReport(), always);
  expect(cleanUp.mock.calls).toEqual([
    [{ now: w.clock.now(), retentionMillis: core.settings.decisionRetentionMillis }],
  ]);
  await audit({ ...core, store: undefined }, emptyReport(), always);
  expect(w.of("recordFailed")).toEqual([]);
});

test("a part of an audit that fails keeps no other part from being done", async () => {
  const w = memoryWorld();
  await w.database.write({ decision: newDecision(1, { source: SOURCE }) });
  const failing = { ...w.database.barrier, claimUnsettled: () => Promise.reject(new Error("down")) };
  const databases = { broken: { ...w.database, barrier: failing }, main: w.database };
  const core = serviceOf(w, { databases }).core;
  const report = emptyReport();
  await audit({ ...core, store: { ...w.store, mark: () => Promise.reject(new Error("down")) } }, report, always);
  expect(report.published).toBe(1);
  expect(w.of("recordFailed")).toHaveLength(2);
  expect(core.audit.lastAt).toBe(w.clock.now());
});
