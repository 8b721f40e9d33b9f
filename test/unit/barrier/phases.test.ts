import { describe, expect, test, vi } from "vitest";
import { openBarrier } from "../../../src/core/barrier-transaction.ts";
import type { BarrierOptions } from "../../../src/core/barrier-transaction.ts";
import { encodeMessages } from "../../../src/model/barrier-row.ts";
import { utf8Length } from "../../../src/model/bytes.ts";
import type { AnyDatabase, UnitOutcome } from "../../../src/ports/database.ts";
import { AT, LONG, sampleId } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld } from "../../support/barrier-world.ts";
import type { MemoryWorld, Way } from "../../support/barrier-world.ts";
import { gate, orderPaid, seatFreed, settled } from "../../support/world.ts";

const ID = sampleId(1);
const CLAIM = { consumer: "receipt", messageId: "m1", token: "t1" };
const ORDER = { orderId: "o-1" };

function opened(w: MemoryWorld, more: Partial<BarrierOptions> = {}, change: Partial<AnyDatabase> = {}) {
  const database = { ...w.database, ...change } as AnyDatabase;
  const { core } = serviceOf(w, { databases: { main: database } });
  return { core, open: openBarrier(core, { id: ID, database: "main", ...more }) };
}

describe("a transaction whose request has ended", () => {
  test("takes no message and no work any more", async () => {
    const w = memoryWorld();
    const { open } = opened(w);
    await open.close();
    await expect(open.tx.publish(orderPaid, ORDER)).rejects.toThrow(/ended/);
    await expect(open.tx.run("main", async () => 1)).rejects.toThrow(/ended/);
    expect(w.keys()).toEqual([]);
  });

  test("waits for what is being published, and counts it among what waits for a row", async () => {
    const w = memoryWorld();
    const { core, open } = opened(w);
    const { passed, open: pass } = gate();
    const routes = core.routes;
    const slow = openBarrier(
      {
        ...core,
        routes: async (topic) => {
          await passed;
          return routes(topic);
        },
      },
      { id: ID, database: "main" },
    );
    const published = slow.tx.publish(orderPaid, ORDER);
    const closing = slow.close();
    await settled();
    pass();
    expect((await closing).waiting).toHaveLength(1);
    expect(await closing).toMatchObject({ phase: "open", dropped: true, used: false, failed: false });
    await published;
    expect(await open.close()).toMatchObject({ phase: "open", waiting: [], dropped: false, used: false });
  });

  test("tells whether it was used, and whether its work failed", async () => {
    const w = memoryWorld();
    const { open } = opened(w);
    await open.tx.run("main", () => Promise.reject(new Error("no"))).catch(() => undefined);
    expect(await open.close()).toMatchObject({ phase: "open", used: true, failed: true, decision: undefined });
    const other = opened(w);
    await other.open.tx.run("main", async () => 1);
    expect(await other.open.close()).toMatchObject({ phase: "committed", used: true, failed: false });
  });

  test("keeps what its work had rolled back out of what waits, and says that it was dropped", async () => {
    const w = memoryWorld();
    const { open } = opened(w);
    await open.tx.publish(orderPaid, ORDER);
    await open.tx.run("main", () => Promise.reject(new Error("no"))).catch(() => undefined);
    expect(await open.close()).toMatchObject({ waiting: [], dropped: true });
  });
});

describe("a transaction that is being committed", () => {
  test("refuses a second run and a message, each by its own error", async () => {
    const w = memoryWorld();
    const { passed, open: pass } = gate();
    const run: AnyDatabase["run"] = (work, options) =>
      w.database.run!(async (unit) => {
        const value = await work(unit);
        await passed;
        return value;
      }, options);
    const { open } = opened(w, {}, { run });
    await open.tx.publish(orderPaid, ORDER);
    const committing = open.tx.run("main", async () => 7);
    await settled();
    await expect(open.tx.run("main", async () => 8)).rejects.toMatchObject({ code: "ERR_TRANSACTION_NESTED" });
    await expect(open.tx.publish(orderPaid, ORDER)).rejects.toThrow(/ended/);
    pass();
    expect(await committing).toBe(7);
    expect((await open.close()).decision?.records).toHaveLength(1);
  });

  test("is open again where its row found no room, with what was published before", async () => {
    for (const way of ["run", "batch"] satisfies Way[]) {
      const w = memoryWorld(way);
      const { open } = opened(w, {}, { maxRowBytes: 10 });
      await open.tx.publish(orderPaid, ORDER);
      const work = () => (way === "run" ? open.tx.run("main", async () => 1) : open.tx.batch("main", []));
      for (let n = 0; n < 2; n++) await expect(work()).rejects.toMatchObject({ code: "ERR_MESSAGE_TOO_LARGE" });
      expect(await open.close()).toMatchObject({ phase: "open", dropped: true });
    }
  });

  test("has room in its row up to the last byte", async () => {
    const w = memoryWorld();
    const first = opened(w);
    await first.open.tx.publish(orderPaid, ORDER);
    const bytes = utf8Length(encodeMessages((await first.open.close()).waiting));
    const fits = async (maxRowBytes: number): Promise<boolean> => {
      const { open } = opened(memoryWorld(), {}, { maxRowBytes });
      await open.tx.publish(orderPaid, ORDER);
      return open.tx
        .run("main", async () => 1)
        .then(
          () => true,
          () => false,
        );
    };
    expect([await fits(bytes), await fits(bytes - 1)]).toEqual([true, false]);
  });
});

describe("a transaction that consumes a message", () => {
  const consumed = { claim: CLAIM, retentionMillis: LONG };

  test("keeps nothing for a rollback where the message was done before", async () => {
    for (const done of [true, false]) {
      const w = memoryWorld();
      await w.database.inbox.claim(CLAIM, LONG);
      if (done) await w.database.inbox.complete(CLAIM, { outcome: "1", retentionMillis: LONG });
      const { open } = opened(w, { consumed });
      await open.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
      expect((await open.close()).intent.kept).toBe(!done);
      expect(await w.found(ID)).toEqual(done ? undefined : expect.objectContaining({ state: "intended" }));
    }
  });

  test("keeps what its work returned, and writes nothing for work that returns nothing", async () => {
    for (const [value, outcome, writes] of [
      [{ ok: true }, '{"ok":true}', 1],
      [null, "null", 1],
      [undefined, "null", 0],
    ] as const) {
      const w = memoryWorld();
      await w.database.inbox.claim(CLAIM, LONG);
      const keepOutcome = vi.fn();
      const run: AnyDatabase["run"] = (work, options) =>
        w.database.run!(
          (unit) =>
            work({
              ...unit,
              async keepOutcome(...kept) {
                keepOutcome();
                return unit.keepOutcome(...kept);
              },
            }),
          options,
        );
      const { open } = opened(w, { consumed }, { run });
      await open.tx.run("main", async () => value);
      expect((await open.close()).outcome).toBe(outcome);
      expect(keepOutcome).toHaveBeenCalledTimes(writes);
    }
  });
});

describe("a serialization failure", () => {
  const failure = { status: "rolledBack", error: new Error("40001"), retryable: true } as const;

  /** A transaction with a message for a rollback whose run fails so, once it was decided as given. */
  async function failing(
    decide: (w: MemoryWorld) => Promise<unknown>,
    outcome: UnitOutcome<never> = failure,
    find?: AnyDatabase["barrier"]["find"],
  ) {
    const w = memoryWorld();
    const barrier = { ...w.database.barrier, ...(find === undefined ? {} : { find }) };
    const run = (async () => {
      await decide(w);
      return outcome;
    }) as NonNullable<AnyDatabase["run"]>;
    const { open } = opened(w, {}, { run, barrier });
    await open.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
    const error: unknown = await open.tx.run("main", async () => 1).catch((thrown: unknown) => thrown);
    return { error, phase: (await open.close()).phase };
  }
  const rollBack = (w: MemoryWorld) => w.database.barrier.rollBack(ID, AT, 0);

  test("that hides a rollback is told of as that", async () => {
    expect(await failing(rollBack)).toMatchObject({ error: { code: "ERR_ROLLED_BACK" }, phase: "late" });
  });

  test("comes through where nothing was decided, where a commit was, and where that cannot be asked", async () => {
    const commits = (w: MemoryWorld) =>
      w.database.write({
        decision: { transactionId: ID, source: "a", records: [], at: AT, dueMillis: 0 },
      });
    const nobody = async () => undefined;
    const down = () => Promise.reject(new Error("down"));
    for (const attempt of [failing(nobody), failing(commits), failing(rollBack, failure, down)]) {
      expect(await attempt).toEqual({ error: failure.error, phase: "open" });
    }
  });

  test("is the only error that is looked into", async () => {
    const plain = { ...failure, retryable: false };
    expect(await failing(rollBack, plain)).toEqual({ error: failure.error, phase: "open" });
  });
});
