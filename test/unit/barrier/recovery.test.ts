import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { AftercommitOptions, Transaction, Transport } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import { nodeSqlite } from "aftercommit/sql";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import {
  DEADLINE,
  EMPTY,
  memoryWorld,
  RESUME,
  SOURCE,
  sqliteWorld,
  steps,
  WORLDS,
} from "../../support/barrier-world.ts";
import type { BarrierWorld, MemoryWorld, Shop, Step, Way } from "../../support/barrier-world.ts";
import { BEARER, ELSEWHERE, PUBLIC_URL, faulty, gate, orderPaid, seatFreed, settled } from "../../support/world.ts";
import type { RouteHandler } from "../../support/world.ts";

const DAY = 86_400_000;
const noAudit = { audit: false };
const audit = { audit: true };
const WAYS: readonly Way[] = ["run", "batch"];

const publishOrder = (tx: Transaction, orderId = "o-1") => tx.publish(orderPaid, { orderId });

/** A process that dies before the transport has its messages: it gets no answer, and no timer of it ends. */
const unsent = (w: BarrierWorld): Partial<AftercommitOptions> => ({
  transport: { ...w.transport, publish: () => new Promise(() => undefined) },
  clock: patient(w),
});

/** A clock that waits for nothing: no call takes too long by it. */
const patient = (w: BarrierWorld) => ({ now: w.clock.now, sleep: () => new Promise<never>(() => undefined) });

let orders = 0;

/** Publishes and commits; each request another order. */
const ordering =
  (w: BarrierWorld): RouteHandler =>
  async (c) => {
    const { tx } = c.var;
    const key = `o-${++orders}`;
    await publishOrder(tx, key);
    await w.work(tx, [key]);
    return c.text(tx.id, 201);
  };

/** Registers a compensation, publishes, then commits or fails. */
const reserving =
  (w: BarrierWorld, fails = false): RouteHandler =>
  async (c) => {
    const { tx } = c.var;
    await tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
    await publishOrder(tx);
    await w.work(
      tx,
      ["o-1"],
      fails
        ? () => {
            throw new Error("no stock");
          }
        : undefined,
    );
    return c.text(tx.id, 201);
  };

/** A process that commits and dies before the transport has its messages; the id of its transaction. */
async function committedAndDied(w: BarrierWorld, overrides: Partial<AftercommitOptions> = {}): Promise<string> {
  const response = await w.shop(ordering(w), { ...unsent(w), ...overrides }).order();
  await settled();
  return response.text();
}

const operatorOf = (w: BarrierWorld, overrides: Partial<AftercommitOptions> = {}) => w.service(overrides).ac.operator();

/** Sweeps with all that a sweep looks at, until nothing more can come of it. */
async function recovered(w: BarrierWorld, overrides: Partial<AftercommitOptions> = {}): Promise<void> {
  for (let n = 0; n < 4; n++) {
    await w.age(DEADLINE);
    await operatorOf(w, overrides).sweep(audit);
  }
}

for (const [name, make] of WORLDS) {
  describe(`a process that died after COMMIT and before it published (${name})`, () => {
    test("is finished by the sweep that its hint calls", async () => {
      const w = make();
      const id = await committedAndDied(w);
      const operator = operatorOf(w);
      await w.age(RESUME - 5_000);
      expect(await operator.sweep(noAudit)).toMatchObject({ claimed: 0 });
      await w.age(5_000);
      expect(await operator.sweep(noAudit)).toMatchObject({ claimed: 1, published: 1 });
      expect([w.sent(), w.store.snapshot().due]).toEqual([["order.paid"], []]);
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(await operator.sweep(audit)).toMatchObject({ claimed: 0 });
    });

    test("is finished by the audit where the log has lost everything", async () => {
      const w = make();
      const id = await committedAndDied(w);
      w.store.restore(EMPTY);
      await w.age(RESUME);
      expect(await operatorOf(w).sweep(noAudit)).toMatchObject({ claimed: 0 });
      expect(await operatorOf(w).sweep(audit)).toMatchObject({ claimed: 1, published: 1 });
      expect(w.sent()).toEqual(["order.paid"]);
      expect(await w.row(id)).toMatchObject({ settled: true, attempts: 1 });
    });

    test("is finished without a log at all", async () => {
      const w = make();
      await committedAndDied(w, { log: undefined });
      await w.age(RESUME);
      expect(await operatorOf(w, { log: undefined }).sweep()).toMatchObject({ published: 1 });
    });
  });
}

describe("a crash at every step", () => {
  for (const way of WAYS) {
    for (const fails of [false, true]) {
      for (const edge of ["before", "after"] as const) {
        for (const flushed of [false, true]) {
          const what = `${fails ? "a rollback" : "a commit"} by ${way}, ${edge} each call`;
          test(`of ${what}${flushed ? ", with FLUSHALL" : ""}: messages go out if and only if it committed`, async () => {
            const sound = memoryWorld(way);
            let last = 0;
            const count: Step = (call, _called, at) => call().finally(() => (last = Math.max(last, at)));
            await sound.shop(reserving(sound, fails), steps(sound, count)).ordered();
            expect(last).toBeGreaterThanOrEqual(5);
            for (let k = 0; k <= last; k++) {
              const w = memoryWorld(way);
              let intended = false;
              const act: Step = async (call, called, at) => {
                if (at > k || (at === k && edge === "before")) return new Promise(() => undefined);
                const result = await call();
                if (called === "barrier.intend") intended = true;
                return at === k ? new Promise(() => undefined) : result;
              };
              void w.shop(reserving(w, fails), steps(w, act)).order();
              await settled();
              w.dieOpen();
              if (flushed) w.store.restore(EMPTY);
              await recovered(w);
              const committed = w.keys().length > 0;
              const expected = committed ? ["order.paid"] : intended ? ["seat.freed"] : [];
              expect(w.sent(), `step ${k}`).toEqual(expected);
              expect((await w.database.reader.counts(SOURCE)).unsettled, `step ${k}`).toBe(0);
              expect(w.store.snapshot().due, `step ${k}`).toEqual([]);
            }
          });
        }
      }
    }
  }
});

describe("a call that goes wrong at every step, in a process that goes on", () => {
  for (const way of WAYS) {
    for (const fails of [false, true]) {
      for (const fault of ["fails before it acts", "acts and its reply is lost"] as const) {
        test(`and ${fault}: messages of ${fails ? "a rollback" : "a commit"} by ${way} go out if and only if it committed`, async () => {
          let last = 0;
          for (let k = 0; k <= last; k++) {
            const w = memoryWorld(way);
            let confirmed: boolean | undefined;
            const act: Step = async (call, called, at) => {
              last = Math.max(last, at);
              const whole = called.startsWith("database.");
              const error = new Error(`${called} went wrong`);
              // The first call is the publish; another one takes out what that was refused.
              if (called === "barrier.intend") confirmed ??= at !== k;
              if (at === k && fault === "fails before it acts") {
                // A database tells how a transaction of the user's ended, and never rejects.
                if (whole) return { status: "rolledBack", error, retryable: false };
                throw error;
              }
              const result = await call();
              if (at === k && whole) return { status: "unknown", error };
              if (at === k) throw error;
              return result;
            };
            await w.shop(reserving(w, fails), steps(w, act)).ordered();
            await recovered(w);
            const committed = w.keys().length > 0;
            const expected = committed ? ["order.paid"] : confirmed === true ? ["seat.freed"] : [];
            expect(w.sent(), `step ${k}`).toEqual(expected);
            expect((await w.database.reader.counts(SOURCE)).unsettled, `step ${k}`).toBe(0);
            expect(w.store.snapshot().due, `step ${k}`).toEqual([]);
          }
          expect(last).toBeGreaterThan(4);
        });
      }
    }
  }
});

/** Ways in which a transaction goes from its request to its end; each call passes through the steps that it is given. */
const STORIES: Readonly<Record<string, { readonly sends: readonly string[]; play: Play }>> = {
  "a commit": {
    sends: ["order.paid"],
    play: async (w, through) => void (await w.shop(reserving(w), through).ordered()),
  },
  "a commit that the transport did not take": {
    sends: ["order.paid"],
    play: async (w, through) => {
      w.transport.fail("unreachable", { times: 2 });
      await w.shop(reserving(w), through).ordered();
    },
  },
  "a rollback": {
    sends: ["seat.freed"],
    play: async (w, through) => void (await w.shop(reserving(w, true), through).ordered()),
  },
  "a rollback that the transport did not take": {
    sends: ["seat.freed"],
    play: async (w, through) => {
      w.transport.fail("replyLost", { times: 2 });
      await w.shop(reserving(w, true), through).ordered();
    },
  },
  "a request that dies before its work": {
    sends: ["seat.freed"],
    play: async (w, through) => {
      const handler: RouteHandler = async (c) => {
        await c.var.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
        return new Promise<Response>(() => undefined);
      };
      void w.shop(handler, through).order();
      await settled();
    },
  },
};
type Play = (w: MemoryWorld, through: Partial<AftercommitOptions>) => Promise<void>;

/** Plays a story to its end: the request, a sweep that follows the hints, and sweeps that look at everything. */
async function played(w: MemoryWorld, play: Play, act: Step): Promise<void> {
  const through = steps(w, act);
  await play(w, through);
  for (const options of [noAudit, noAudit, audit, audit, audit]) {
    await w.age(DEADLINE);
    await w.service(through).ac.operator().sweep(options);
  }
}

describe("Redis", () => {
  for (const way of WAYS) {
    for (const [story, { sends, play }] of Object.entries(STORIES)) {
      test(`emptied (FLUSHALL) between every two steps of ${story} by ${way} loses nothing`, async () => {
        let last = 0;
        for (let k = 0; k <= last; k++) {
          const w = memoryWorld(way);
          await played(w, play, async (call, _name, at) => {
            last = Math.max(last, at);
            if (at === k) w.store.restore(EMPTY);
            return call();
          });
          expect(w.sent(), `step ${k}`).toEqual(sends);
          expect((await w.database.reader.counts(SOURCE)).unsettled, `step ${k}`).toBe(0);
        }
        expect(last).toBeGreaterThan(10);
      });

      test(`that comes back older after ${story} by ${way} revives nothing, and sends nothing of the other verdict`, async () => {
        const w = memoryWorld(way);
        const snapshots = [w.store.snapshot()];
        await played(w, play, async (call) => {
          const result = await call();
          snapshots.push(w.store.snapshot());
          return result;
        });
        const different = new Map(snapshots.map((snapshot) => [JSON.stringify(snapshot), snapshot]));
        expect(different.size).toBeGreaterThan(1);
        const standing = w.main.snapshot();
        for (const snapshot of different.values()) {
          w.store.restore(snapshot);
          await recovered(w);
          expect(w.transport.calls.flat().every(({ record }) => sends.includes(record.topic))).toBe(true);
          expect(w.sent()).toEqual(sends);
          expect(w.main.snapshot()).toEqual(standing);
          expect(w.store.snapshot().due).toEqual([]);
        }
      });
    }

    test(`down throughout changes neither answer nor messages (${way})`, async () => {
      const answers = [];
      for (const down of [false, true]) {
        const w = memoryWorld(way);
        const log = faulty(w.store, () => (down ? "unreachable" : "none"));
        const response = await w.shop(reserving(w), { log }).ordered();
        answers.push({ status: response.status, headers: [...response.headers], sent: w.sent(), keys: w.keys() });
        expect(w.of("hintFailed").map(({ transactionId }) => transactionId)).toEqual(
          down ? [await response.text()] : [],
        );
      }
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[1]).toMatchObject({ status: 201, sent: ["order.paid"], keys: ["o-1"] });
    });

    test(`that never answers is not waited for (${way})`, async () => {
      const w = memoryWorld(way);
      const log = faulty(w.store, () => "none");
      const hanging = {
        ...log,
        transactions: { ...log.transactions, prepare: () => new Promise<never>(() => undefined) },
      };
      const { order, ac } = w.shop(reserving(w), { log: hanging });
      expect((await order()).status).toBe(201);
      const drained = ac.drain();
      await w.clock.advance(3_000);
      await drained;
      expect(w.sent()).toEqual(["order.paid"]);
    });

    test(`down while a process dies: a sweep without it looks through the databases (${way})`, async () => {
      const w = memoryWorld(way);
      const log = faulty(w.store, () => "unreachable");
      await committedAndDied(w, { log });
      await w.age(RESUME);
      expect(await operatorOf(w, { log }).sweep()).toMatchObject({ claimed: 1, published: 1 });
      expect(w.of("logUnavailable")).toHaveLength(1);
      expect(w.sent()).toEqual(["order.paid"]);
    });
  }

  test("emptied between two audits is told of", async () => {
    const w = memoryWorld();
    const operator = operatorOf(w, {
      log: { ...w.store, mark: async () => (w.events.length === 0 ? "born" : "born again") },
    });
    await operator.sweep(audit);
    await operator.sweep(audit);
    expect(w.of("logLost")).toHaveLength(1);
  });
});

describe("a hint", () => {
  const dueOf = (w: BarrierWorld) => w.store.snapshot().due.map(([, entry]) => entry);

  test("is taken back by the request that has sent everything", async () => {
    const w = memoryWorld();
    await w.shop(ordering(w)).ordered();
    expect(dueOf(w)).toEqual([]);
  });

  for (const way of WAYS) {
    test(`without a row is asked again until the longest request is over, and then dropped (${way})`, async () => {
      const w = memoryWorld(way);
      const { order } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        return new Promise<Response>(() => undefined);
      });
      void order();
      await settled();
      const operator = operatorOf(w);
      await w.age(RESUME);
      await operator.sweep(noAudit);
      expect(dueOf(w)).toMatchObject([{ attempts: 1, dueAt: w.clock.now() + DEADLINE }]);
      await w.age(DEADLINE);
      await operator.sweep(noAudit);
      expect([dueOf(w), w.transport.calls, w.decisions()]).toEqual([[], [], []]);
    });

    test(`whose row comes after the first look leads to it at the second (${way})`, async () => {
      const w = memoryWorld(way);
      const { passed, open } = gate();
      const { order } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await passed;
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      }, unsent(w));
      const response = order();
      await settled();
      await w.age(RESUME);
      await operatorOf(w).sweep(noAudit);
      open();
      await response;
      await w.age(DEADLINE);
      expect(await operatorOf(w).sweep(noAudit)).toMatchObject({ published: 1 });
    });

    test(`whose row comes after it was dropped is not missed: the audit finds the row (${way})`, async () => {
      const w = memoryWorld(way);
      const { passed, open } = gate();
      const { order } = w.shop(async (c) => {
        await publishOrder(c.var.tx);
        await passed;
        await w.work(c.var.tx, ["o-1"]);
        return c.text("ok");
      }, unsent(w));
      const response = order();
      await settled();
      await recovered(w);
      expect(dueOf(w)).toEqual([]);
      open();
      await response;
      await w.age(RESUME);
      expect(await operatorOf(w).sweep(noAudit)).toMatchObject({ published: 0 });
      expect(await operatorOf(w).sweep(audit)).toMatchObject({ published: 1 });
    });
  }

  for (const [who, overrides] of Object.entries<Partial<AftercommitOptions>>({
    "of another deployment": { source: "https://preview.example.com/" },
    "of a service that does not know the database": { databases: { other: memoryDatabase() } },
    "of a service without databases": { databases: undefined },
  })) {
    test(`is left by a sweeper ${who} for one that can follow it`, async () => {
      const w = memoryWorld();
      await committedAndDied(w);
      await w.age(RESUME);
      expect(await operatorOf(w, overrides).sweep(noAudit)).toMatchObject({ claimed: 1, published: 0 });
      expect(dueOf(w)).toMatchObject([{ attempts: 0 }]);
      expect(w.transport.calls).toEqual([]);
      await w.age(300_000);
      expect(await operatorOf(w).sweep(noAudit)).toMatchObject({ published: 1 });
      expect(dueOf(w)).toEqual([]);
    });
  }

  test("is no message to people: not among what is unsettled, nor in its transaction", async () => {
    const w = memoryWorld();
    const id = await committedAndDied(w);
    const { log } = operatorOf(w);
    expect((await log.listUnsettled()).items).toMatchObject([{ record: { topic: "order.paid" } }]);
    expect((await log.transaction(id)).unsettled).toMatchObject([{ record: { topic: "order.paid" } }]);
    await expect(operatorOf(w).decide(id, "rolledBack")).rejects.toMatchObject({ code: "ERR_CONFLICT" });
  });

  test("whose database is away waits, and keeps no other hint from being followed", async () => {
    const w = memoryWorld();
    const archive = memoryDatabase({ clock: w.clock });
    const databases = { main: w.database, archive: archive as AnyDatabase };
    await committedAndDied(w);
    const { ac, app } = w.service({ ...unsent(w), databases });
    app.post("/archive", ac.transaction({ database: "archive" }), async (c) => {
      await publishOrder(c.var.tx, "archived");
      await c.var.tx.run("archive", async () => undefined);
      return c.text("ok");
    });
    await app.request("/archive", { method: "POST" });
    await settled();
    await w.age(RESUME);
    const mend = archive.fail("unavailable", { times: Number.POSITIVE_INFINITY });
    expect(await operatorOf(w, { databases }).sweep(noAudit)).toMatchObject({ claimed: 2, published: 1 });
    expect(w.of("recordFailed")).toHaveLength(1);
    mend();
    await w.age(60_000);
    expect(await operatorOf(w, { databases }).sweep(noAudit)).toMatchObject({ published: 1 });
  });
});

for (const [name, make] of WORLDS) {
  describe(`two deployments on one database (${name})`, () => {
    const preview = { source: "https://preview.example.com/" };
    const sources = (w: BarrierWorld) =>
      w.transport.accepted.map(({ body }) => (JSON.parse(body) as { source: string }).source);

    test("each finish their own rows and intents, and no others, by audit and by hint", async () => {
      for (const options of [audit, noAudit]) {
        const w = make();
        const ids = [await committedAndDied(w), await committedAndDied(w, preview)];
        for (const overrides of [{}, preview]) {
          const handler: RouteHandler = async (c) => {
            await c.var.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
            return new Promise<Response>(() => undefined);
          };
          void w.shop(handler, overrides).order();
        }
        await settled();
        await w.age(DEADLINE);
        await operatorOf(w, preview).sweep(options);
        expect(w.sent().toSorted()).toEqual(["order.paid", "seat.freed"]);
        expect(new Set(sources(w))).toEqual(new Set([preview.source]));
        expect([await w.row(ids[0]!), await w.row(ids[1]!)]).toMatchObject([{ settled: false }, { settled: true }]);
        await w.age(300_000);
        await operatorOf(w).sweep(options);
        expect(w.transport.accepted).toHaveLength(4);
        expect(sources(w).filter((source) => source === SOURCE)).toHaveLength(2);
      }
    });

    test("count and list their own, and drop their own", async () => {
      const w = make();
      await w.shop(ordering(w)).ordered();
      await committedAndDied(w, preview);
      const [own, other] = [operatorOf(w).log, operatorOf(w, { ...preview, log: undefined }).log];
      expect(await own.counts()).toMatchObject({ decisions: 1 });
      expect(await other.counts()).toMatchObject({ unsettled: 1, decisions: 1 });
      expect((await other.listUnsettled()).items).toMatchObject([{ record: { topic: "order.paid" } }]);
      await w.age(RESUME);
      await operatorOf(w, preview).sweep(audit);
      await w.age(34 * DAY);
      await operatorOf(w, preview).sweep(audit);
      expect([await own.counts(), await other.counts()]).toMatchObject([{ decisions: 1 }, { decisions: 0 }]);
    });
  });

  describe(`a transport that is down (${name})`, () => {
    test("changes no answer; the row backs off further each time, and is sent when it is back", async () => {
      const w = make();
      w.transport.fail("unreachable", { times: 4 });
      const response = await w.shop(ordering(w)).ordered();
      expect(response.status).toBe(201);
      const id = await response.text();
      w.store.restore(EMPTY);
      const waits: number[] = [];
      for (let n = 0; n < 3; n++) {
        await w.age(3_600_000);
        await operatorOf(w).sweep(audit);
        const [failed] = w.of("publishFailed").slice(-1);
        waits.push(failed!.retryInMillis);
      }
      expect(w.sent()).toEqual([]);
      expect(await w.row(id)).toMatchObject({ settled: false, attempts: 3, results: {} });
      expect(waits[1]! / waits[0]!).toBeGreaterThan(1);
      expect(waits[2]! / waits[1]!).toBeGreaterThan(1);
      expect(await operatorOf(w).sweep(audit)).toMatchObject({ claimed: 0 });
      await w.age(3_600_000);
      await operatorOf(w).sweep(audit);
      expect(w.sent()).toEqual(["order.paid"]);
      expect(await w.row(id)).toMatchObject({ settled: true, attempts: 4 });
    });

    test("that asks for patience is not asked again before, by whatever a sweep is called", async () => {
      const w = make();
      w.transport.fail({ status: "retry", reason: "429", afterMillis: 3_600_000 }, { times: 99 });
      await w.shop(ordering(w)).ordered();
      for (let n = 0; n < 10; n++) {
        await w.age(RESUME);
        await operatorOf(w).sweep(n % 2 === 0 ? audit : noAudit);
      }
      expect(w.transport.calls).toHaveLength(1);
    });

    test("that took it and lost the reply is asked again: one delivery all the same", async () => {
      const w = make();
      w.transport.fail("replyLost");
      await w.shop(ordering(w)).ordered();
      await w.age(RESUME);
      await operatorOf(w).sweep(noAudit);
      expect(w.transport.calls).toHaveLength(2);
      expect(w.transport.accepted).toHaveLength(1);
      expect(w.of("published")).toMatchObject([{ deduplicated: true }]);
    });
  });

  describe(`partial results (${name})`, () => {
    test("stand in the row: what was taken stays taken, what is refused is dead with its reason, the rest is tried again", async () => {
      const w = make();
      const routes = { [orderPaid.name]: ["/consumers/receipt", ELSEWHERE, "/consumers/stock"] };
      const to = (destination: string) => ({
        when: ({ record }: { readonly record: { readonly destination: string } }) => record.destination === destination,
      });
      w.transport.fail({ status: "refused", reason: "no such host", code: 404 }, to(ELSEWHERE));
      w.transport.fail({ status: "retry", reason: "busy", afterMillis: 7_000 }, to(`${PUBLIC_URL}/consumers/stock`));
      const id = await (await w.shop(ordering(w), { routes }).ordered()).text();
      const row = (await w.row(id))!;
      const [receipt, elsewhere, stock] = row.records.map(({ key }) => row.results[key]);
      expect([receipt, elsewhere]).toMatchObject([
        { state: "published" },
        { state: "dead", reason: "refused", detail: "no such host", status: 404, buriedAt: w.clock.now() },
      ]);
      expect([stock, row.settled]).toEqual([undefined, false]);
      expect(w.of("dead")).toMatchObject([{ transactionId: id, reason: "refused" }]);
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ unsettled: 1, dead: 1 });

      await w.age(RESUME);
      await operatorOf(w).sweep(noAudit);
      expect(w.transport.calls[1]!.map(({ record }) => record.destination)).toEqual([`${PUBLIC_URL}/consumers/stock`]);
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ unsettled: 0, dead: 1 });
      expect(w.of("dead")).toHaveLength(1);
      await recovered(w);
      expect(w.transport.calls).toHaveLength(2);
    });
  });

  describe(`two sweepers at once (${name})`, () => {
    test("send each delivery once, whether they follow hints or audit", async () => {
      for (const options of [noAudit, audit]) {
        const w = make();
        for (let n = 0; n < 7; n++) await committedAndDied(w);
        await w.age(RESUME);
        if (options.audit) w.store.restore(EMPTY);
        const reports = await Promise.all([1, 2, 3].map(() => operatorOf(w).sweep(options)));
        expect(reports.reduce((sum, { published }) => sum + published, 0)).toBe(7);
        expect([w.transport.accepted.length, w.transport.calls.flat().length]).toEqual([7, 7]);
        expect(await w.database.reader.counts(SOURCE)).toMatchObject({ unsettled: 0, decisions: 7 });
      }
    });

    test("and the request itself agree, whoever settles first", async () => {
      const w = make();
      const { passed, open } = gate();
      const transport: Transport = {
        ...w.transport,
        publish: async (dispatches) => {
          await passed;
          return w.transport.publish(dispatches);
        },
      };
      const { order, ac } = w.shop(ordering(w), { transport, clock: patient(w) });
      const id = await (await order()).text();
      await w.age(RESUME);
      await operatorOf(w).sweep(audit);
      expect(await w.row(id)).toMatchObject({ settled: true });
      open();
      await ac.drain();
      expect(w.transport.accepted).toHaveLength(1);
      expect(w.of("recordFailed")).toEqual([]);
      expect(await w.row(id)).toMatchObject({ settled: true });
      expect(await w.database.reader.counts(SOURCE)).toMatchObject({ unsettled: 0 });
    });
  });

  describe(`clean-up (${name})`, () => {
    test("drops what was settled long ago, and keeps what is unsettled, dead or young", async () => {
      const w = make();
      const settledId = await (await w.shop(reserving(w)).ordered()).text();
      w.transport.fail({ status: "refused", reason: "no such host", code: 404 });
      const deadId = await (await w.shop(ordering(w)).ordered()).text();
      const transport: Transport = { ...w.transport, publish: () => Promise.reject(new Error("down")) };
      const unsettledId = await (await w.shop(ordering(w), { transport }).ordered()).text();
      await w.age(34 * DAY);
      const youngId = await (await w.shop(ordering(w)).ordered()).text();
      await operatorOf(w, { transport }).sweep(audit);
      const found = await Promise.all([settledId, deadId, unsettledId, youngId].map((id) => w.found(id)));
      expect(found.map((entry) => entry?.state)).toEqual([undefined, "decided", "decided", "decided"]);
    });

    test("waits for the whole retention, counted from when the row was settled", async () => {
      const w = make();
      const id = await committedAndDied(w);
      await w.age(40 * DAY);
      await operatorOf(w).sweep(audit);
      await w.age(33 * DAY - 60_000);
      await operatorOf(w).sweep(audit);
      expect(await w.row(id)).toMatchObject({ settled: true });
      await w.age(120_000);
      await operatorOf(w).sweep(audit);
      expect(await w.row(id)).toBeUndefined();
    });
  });
}

describe("an audit", () => {
  test("is made now and then by itself, and whenever it is asked for", async () => {
    const w = memoryWorld();
    await committedAndDied(w);
    w.store.restore(EMPTY);
    const operator = operatorOf(w);
    await w.age(599_000);
    expect(await operator.sweep()).toMatchObject({ claimed: 0 });
    await w.age(1_000);
    expect(await operator.sweep()).toMatchObject({ claimed: 1, published: 1 });
  });

  test("reaches a row behind 120 that cannot be sent", async () => {
    const w = memoryWorld();
    const routes = { [orderPaid.name]: ELSEWHERE };
    for (let n = 0; n < 120; n++) await committedAndDied(w, { routes });
    await w.age(1);
    await committedAndDied(w);
    w.store.restore(EMPTY);
    await w.age(RESUME);
    const stuck = ({ record }: { record: { destination: string } }) => record.destination === ELSEWHERE;
    w.transport.fail({ status: "retry", reason: "busy" }, { when: stuck, times: Number.POSITIVE_INFINITY });
    expect(await operatorOf(w).sweep(audit)).toMatchObject({ claimed: 121, published: 1 });
  });

  test("of one database that is away keeps no other from being audited", async () => {
    const w = memoryWorld();
    await committedAndDied(w);
    w.store.restore(EMPTY);
    await w.age(RESUME);
    const away = memoryDatabase();
    away.fail("unavailable", { times: Number.POSITIVE_INFINITY });
    const databases = { away: away as AnyDatabase, main: w.database };
    expect(await operatorOf(w, { databases }).sweep(audit)).toMatchObject({ published: 1 });
    expect(w.of("recordFailed")).toMatchObject([{ error: { code: "ERR_DATABASE_UNAVAILABLE" } }]);
  });

  test("leaves a row of a newer release, and goes on with the others", async () => {
    const w = sqliteWorld();
    await committedAndDied(w);
    await committedAndDied(w);
    w.store.restore(EMPTY);
    await w.age(RESUME);
    let raw: DatabaseSync | undefined;
    await w.database.run!(async ({ sql }) => void (raw = sql as DatabaseSync));
    raw!.exec(
      `UPDATE aftercommit_barrier SET messages = '{"v":99}' WHERE transaction_id = (SELECT MIN(transaction_id) FROM aftercommit_barrier)`,
    );
    expect(await operatorOf(w).sweep(audit)).toMatchObject({ published: 1, undecodable: 1 });
    expect(w.of("undecodable")).toHaveLength(1);
    await w.age(34 * DAY);
    await operatorOf(w).sweep(audit);
    expect(await w.database.reader.counts(SOURCE)).toMatchObject({ unsettled: 1 });
  });

  test("is not kept from the transport's other dead letters by one that it cannot record", async () => {
    const w = memoryWorld();
    const routes = { [orderPaid.name]: [ELSEWHERE] };
    await w.shop(ordering(w), { routes, log: undefined }).ordered();
    const [dispatch] = w.transport.take();
    // Of another deployment, whose rows are elsewhere: without a log there is no place for it here.
    const foreign = dispatch!.body.replaceAll(dispatch!.record.transactionId, "0197-foreign");
    w.transport.markFailed({ ...dispatch!, body: foreign });
    w.transport.markFailed(dispatch!, { status: 410 });
    await operatorOf(w, { routes, log: undefined }).sweep(audit);
    expect(await w.row(dispatch!.record.transactionId)).toMatchObject({
      results: { [dispatch!.record.key]: { state: "dead", status: 410 } },
    });
  });
});

describe("the watchdog of a transaction that a database decides", () => {
  const watched = { recovery: { watchdog: "2m" } } as const;

  test("is armed beside the work and not waited for", async () => {
    const w = memoryWorld();
    const wake = () => new Promise<never>(() => undefined);
    const { order } = w.shop(ordering(w), { ...watched, transport: { ...w.transport, wake } });
    expect((await order()).status).toBe(201);
  });

  test("that cannot be armed is no reason to refuse, and is told of", async () => {
    const w = memoryWorld();
    const transport = { ...w.transport, wake: () => Promise.reject(new Error("429")) };
    expect((await w.shop(ordering(w), { ...watched, transport }).ordered()).status).toBe(201);
    expect([w.sent(), w.of("hintFailed").length]).toEqual([["order.paid"], 1]);
  });

  for (const log of ["with", "without"] as const) {
    test(`finds what a request left, and is armed again while rows are unsettled (${log} a log)`, async () => {
      const w = memoryWorld();
      const options = log === "with" ? watched : { ...watched, log: undefined };
      const transport: Transport = { ...w.transport, publish: () => Promise.reject(new Error("down")) };
      const down = w.shop(ordering(w), { ...options, transport });
      await down.ordered();
      expect(w.transport.wakes).toHaveLength(1);
      for (let n = 2; n <= 4; n++) {
        await w.age(240_000);
        expect((await w.wakeUp(down.app)).map(({ status }) => status)).toEqual([200]);
        expect(w.transport.wakes).toHaveLength(n);
      }
      const up = w.shop(ordering(w), options);
      for (let n = 0; n < 10 && w.sent().length === 0; n++) {
        await w.age(240_000);
        await w.wakeUp(up.app);
      }
      expect(w.sent()).toEqual(["order.paid"]);
      const { length } = w.transport.wakes;
      await w.age(3_600_000);
      await w.wakeUp(up.app);
      await w.age(3_600_000);
      expect(w.transport.wakes).toHaveLength(length);
    });
  }

  test("goes on although the log has lost everything, until the audit has found the row", async () => {
    const w = memoryWorld();
    await committedAndDied(w, { ...watched, transport: { ...unsent(w).transport!, wake: w.transport.wake } });
    w.store.restore(EMPTY);
    const { app } = w.service(watched);
    for (let n = 0; n < 5; n++) {
      await w.age(240_000);
      await w.wakeUp(app);
    }
    expect(w.sent()).toEqual(["order.paid"]);
  });

  test("that cannot ask the database answers 5xx, so that the transport calls again", async () => {
    const w = memoryWorld();
    await w.shop(ordering(w), watched).ordered();
    await w.age(240_000);
    w.main.fail("unavailable", { times: Number.POSITIVE_INFINITY });
    expect((await w.wakeUp(w.service(watched).app)).map(({ status }) => status)).toEqual([503]);
  });

  test("has no successor for what is dead", async () => {
    const w = memoryWorld();
    w.transport.fail({ status: "refused", reason: "no such host", code: 404 });
    const { ordered, app } = w.shop(ordering(w), watched);
    await ordered();
    await w.age(240_000);
    await w.wakeUp(app);
    expect(await w.database.reader.counts(SOURCE)).toMatchObject({ dead: 1 });
    expect(w.transport.wakes).toHaveLength(1);
  });
});

describe("verify", () => {
  test("resolves where every database is ready", async () => {
    await expect(sqliteWorld().service().ac.verify()).resolves.toBeUndefined();
    await expect(memoryWorld().service().ac.verify()).resolves.toBeUndefined();
  });

  test("tells the SQL to run where our tables are missing", async () => {
    const w = memoryWorld();
    const databases = { main: w.database, bare: nodeSqlite(new DatabaseSync(":memory:")) as AnyDatabase };
    await expect(w.service({ databases }).ac.verify()).rejects.toMatchObject({
      name: "DatabaseNotReadyError",
      code: "ERR_DATABASE_NOT_READY",
      sql: expect.stringContaining("CREATE TABLE IF NOT EXISTS aftercommit_barrier"),
    });
  });

  test("tells that a database is away", async () => {
    const w = memoryWorld();
    w.main.fail("unavailable");
    await expect(w.service().ac.verify()).rejects.toMatchObject({ code: "ERR_DATABASE_UNAVAILABLE" });
  });

  test("of missing tables is what a request without them tells too", async () => {
    const w = memoryWorld();
    const databases = { main: nodeSqlite(new DatabaseSync(":memory:")) as AnyDatabase };
    const { ordered } = w.shop(
      async (c) => {
        await publishOrder(c.var.tx);
        await c.var.tx.run("main", async () => undefined);
        return c.text("never");
      },
      { databases },
    );
    const response = await ordered();
    expect([response.status, await response.json()]).toMatchObject([
      500,
      { error: { code: "ERR_DATABASE_NOT_READY" } },
    ]);
  });
});

describe("a database given as a function", () => {
  /** Counts what is opened and closed. */
  const counted = (w: BarrierWorld) => {
    const count = { opened: 0, closed: 0 };
    const main = async (): Promise<AnyDatabase> => {
      count.opened++;
      return { ...w.database, close: async () => void count.closed++ };
    };
    return { count, overrides: { databases: { main } } };
  };

  for (const [name, make] of WORLDS) {
    test(`is opened for each use, and closed after it (${name})`, async () => {
      const w = make();
      const { count, overrides } = counted(w);
      await w.shop(reserving(w), overrides).ordered();
      const { opened } = count;
      expect(opened).toBeGreaterThan(1);
      expect(count.closed).toBe(opened);
      w.transport.fail("unreachable");
      await w.shop(ordering(w), overrides).ordered();
      await w.age(RESUME);
      await operatorOf(w, overrides).sweep(audit);
      await w.service(overrides).ac.verify();
      expect(count.opened).toBeGreaterThan(opened);
      expect(count.closed).toBe(count.opened);
      expect(w.sent()).toEqual(["order.paid", "order.paid"]);
    });
  }

  test("is closed where the work fails, and not opened where nothing is done", async () => {
    const w = memoryWorld();
    const { count, overrides } = counted(w);
    await w.shop(async (c) => c.text("nothing"), overrides).ordered();
    await w
      .shop(async (c) => {
        await publishOrder(c.var.tx);
        return c.text("forgotten");
      }, overrides)
      .ordered();
    expect(count).toEqual({ opened: 0, closed: 0 });
    await w
      .shop(async (c) => {
        await w.work(c.var.tx, ["o-1", "o-1"]);
        return c.text("never");
      }, overrides)
      .ordered();
    expect(count).toEqual({ opened: 1, closed: 1 });
  });

  test("whose end fails is told of, and changes nothing", async () => {
    const w = memoryWorld();
    const main = () => ({ ...w.database, close: () => Promise.reject(new Error("EPIPE")) });
    const shop: Shop = w.shop(ordering(w), { databases: { main } });
    expect((await shop.ordered()).status).toBe(201);
    expect(w.sent()).toEqual(["order.paid"]);
    expect(w.of("background").length).toBeGreaterThan(0);
  });
});

test("a sweep that is asked for an audit over HTTP finds what no hint tells of", async () => {
  const w = memoryWorld();
  w.transport.fail("unreachable");
  const shop = w.shop(ordering(w));
  await shop.ordered();
  w.store.restore(EMPTY);
  await w.age(RESUME);
  const sweepBy = (query: string) =>
    shop.app.request(`${PUBLIC_URL}/_aftercommit/sweep${query}`, {
      method: "POST",
      headers: { authorization: `Bearer ${BEARER}` },
    });
  expect((await sweepBy("?audit=true")).status).toBe(200);
  expect(w.sent()).toEqual(["order.paid"]);
});
