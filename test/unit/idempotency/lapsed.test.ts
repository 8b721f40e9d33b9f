import { describe, expect, test } from "vitest";
import { fateInDatabase } from "../../../src/idempotency/fate.ts";
import { deliveryRecord } from "../../../src/model/delivery.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, steps } from "../../support/barrier-world.ts";
import type { MemoryWorld } from "../../support/barrier-world.ts";
import { intercepted, orderPaid } from "../../support/world.ts";
import type { LogStore } from "../../../src/ports/log-store.ts";
import { ask, newWorld, start } from "./crash-world.ts";
import { processWith } from "../../e2e/crash-world.ts";
import { openShop, ordering, PLACES, problemOf } from "./keyed-shop.ts";
import type { OrderInit, Place } from "./keyed-shop.ts";

const [marked, checked, barrier] = PLACES.map(([, make]) => make) as [() => Place, () => Place, () => Place];

describe("a request whose earlier run has left nothing but its name", () => {
  test("stands still before its own is on record, while another does it: it is not done twice", async () => {
    const place = marked();
    let standing = true;
    const store = intercepted(place.w.store, async (call, name) => {
      if (name === "inbox.claim" && standing && ++claims === 2) {
        standing = false;
        await place.age(31_000);
        expect((await other.order()).status).toBe(201);
      }
      return call();
    });
    let claims = 0;
    const handler = ordering(place);
    const slow = openShop(place, { handler, overrides: { log: store, clock: standingClock } });
    const other = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        return c.json({}, 201);
      },
    });
    const response = await slow.order();
    expect([response.status, response.headers.get("retry-after")]).toEqual([409, "2"]);
    expect(slow.runs()).toBe(0);
    expect((await slow.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(place.orders()).toHaveLength(1);
  });

  test("that is found to have committed is found so at once from then on", async () => {
    const w = newWorld("barrier with run");
    const rehearsal = processWith();
    await ask(newWorld("barrier with run"), start(newWorld("barrier with run"), rehearsal));
    const diesAt = rehearsal.awaited.indexOf("inbox.complete");
    await ask(w, start(w, processWith("diesBefore", diesAt)));
    await w.base.clock.advance(31_000);
    for (const calls of [8, 1]) {
      const process = processWith();
      expect(await ask(w, start(w, process))).toMatchObject({ status: 409, code: "answer-not-kept" });
      expect(process.awaited.length).toBeLessThanOrEqual(calls);
    }
  });

  test("that committed is not answered for another payload: 422", async () => {
    const place = barrier();
    const { database } = place.w as MemoryWorld;
    const complete = (): Promise<never> => Promise.reject(new Error("out of reach"));
    const forgetful = { ...database, inbox: { ...database.inbox, complete, release: complete } };
    expect((await openShop(place, { overrides: { databases: { main: forgetful } } }).order()).status).toBe(201);
    await place.age(31_000);
    const shop = openShop(place);
    for (let i = 0; i < 2; i++) {
      const refused = await shop.order({ body: JSON.stringify({ id: "order-2" }) });
      expect(await problemOf(refused)).toMatchObject({ status: 422, code: "idempotency-key-reused" });
    }
    expect(await problemOf(await shop.order())).toMatchObject({ status: 409, code: "answer-not-kept" });
    expect(shop.runs()).toBe(0);
  });

  test("is not known while its commit is under way: 409, and the truth after that", async () => {
    const w = memoryWorld("run");
    const place: Place = { ...barrier(), w, work: (tx, id) => w.work(tx, [id]), orders: w.keys, age: w.age };
    let committing = (): void => undefined;
    let commit = (): void => undefined;
    const there = new Promise<void>((resolve) => (committing = resolve));
    const may = new Promise<void>((resolve) => (commit = resolve));
    const { run } = w.main;
    const slow = openShop(place, {
      overrides: {
        databases: {
          main: {
            ...w.main,
            batch: undefined,
            inbox: { ...w.main.inbox, renew: async () => true },
            run: ((work, options) =>
              run(async (unit) => {
                const value = await work(unit);
                committing();
                await may;
                return value;
              }, options)) as typeof run,
          } as never,
        },
      },
    });
    const first = slow.request();
    await there;
    await w.clock.advance(31_000);
    const other = openShop(place);
    const asked = other.request();
    await w.clock.advance(3_000);
    const second = await asked;
    expect([second.status, second.headers.get("retry-after")]).toEqual([409, "2"]);
    expect(await problemOf(second)).toMatchObject({ code: "request-in-flight" });
    commit();
    expect((await first).status).toBe(201);
    const third = await other.order();
    expect(await problemOf(third)).toMatchObject({ code: "answer-not-kept", transactionId: slow.ids[0] });
    expect(place.orders()).toEqual(["order-1"]);
    expect(other.runs()).toBe(0);
  });

  test("leaves room for what that run still registers, as long as it is not decided", async () => {
    const w = memoryWorld("run");
    const { barrier } = w.database;
    const broken = {
      ...w.database,
      barrier: { ...barrier, rollBack: () => Promise.reject(new Error("no answer")) },
    };
    const { core } = serviceOf(w, { databases: { main: broken } });
    expect(await fateInDatabase(core, "main", "tx-1")).toEqual({ verdict: undefined });
    expect(w.of("checkFailed")).toHaveLength(1);
    const facts = {
      transactionId: "tx-1",
      index: 0,
      destination: "https://shop.example.com/consumers/seat",
      destinationHash: "0".repeat(16),
      topic: "seat.freed",
      messageId: "tx-1_0",
      on: "rollback" as const,
      deadlineMillis: 1,
      send: {},
    };
    const records = [deliveryRecord(facts, "{}")];
    const intent = { transactionId: "tx-1", source: core.settings.source, records, at: 1, dueMillis: 1, sequence: 1 };
    expect(await barrier.intend(intent)).toBe(true);
    const { core: sound } = serviceOf(w, { databases: { main: w.database } });
    const { verdict, afterwards } = await fateInDatabase(sound, "main", "tx-1");
    expect(verdict).toBe("rolledBack");
    await afterwards!();
    expect(w.sent()).toEqual(["seat.freed"]);
    expect(await w.row("tx-1")).toMatchObject({ settled: true });
  });

  test("is asked of its check again, where that did not know: 409", async () => {
    const place = checked();
    let answer: "unknown" | "committed" | "rolledBack" = "unknown";
    const overrides = { checks: { order: () => answer } };
    const shop = openShop(place, { overrides, handler: (c) => c.text("sorry", shop.runs() === 1 ? 500 : 201) });
    await shop.order();
    expect(await problemOf(await shop.order())).toMatchObject({ code: "request-in-flight" });
    answer = "rolledBack";
    expect((await shop.order()).status).toBe(201);
    expect(shop.runs()).toBe(2);
  });

  test("at marked is not sent any more by whoever finds it held", async () => {
    const place = marked();
    const dies = new Promise<never>(() => undefined);
    const dead = openShop(place, {
      overrides: { log: withoutRenewals(place.w.store) },
      async handler(c) {
        await c.var.tx.publish(orderPaid, { orderId: "order-1" });
        return dies;
      },
    });
    void dead.request();
    await place.age(121_000);
    const shop = openShop(place);
    await shop.ac.operator().sweep();
    expect((await shop.ac.operator().log.listHeld()).items).toHaveLength(1);
    expect((await shop.order()).status).toBe(201);
    await shop.ac.operator().sweep();
    expect((await shop.ac.operator().log.listHeld()).items).toEqual([]);
    const sent = place.w.transport.accepted.map(({ record }) => record.transactionId);
    expect(sent).toEqual(shop.ids);
  });
});

describe("a success at the levels of the log is not done again", () => {
  test("where its decision could not be written", async () => {
    const place = marked();
    const { store } = place.w;
    const decide = (): Promise<never> => Promise.reject(new Error("out of reach"));
    const log = { ...store, transactions: { ...store.transactions, decide } };
    const shop = openShop(place, { overrides: { log } });
    const first = await shop.order();
    expect(first.headers.get("aftercommit-undecided")).toBe(shop.ids[0]);
    const second = await openShop(place).order();
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.has("aftercommit-undecided")).toBe(false);
    expect(place.orders()).toHaveLength(1);
  });

  test("where its transaction had been rolled back meanwhile", async () => {
    const place = checked();
    const shop = openShop(place, {
      async handler(c, next) {
        await place.w.store.transactions.decide(c.var.tx.id, "rolledBack", 1);
        return ordering(place)(c, next) as Promise<Response>;
      },
    });
    expect((await shop.order()).status).toBe(201);
    expect(place.w.of("conflict")).toHaveLength(1);
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(place.orders()).toHaveLength(1);
  });
});

test("a key is free at once where the log did not answer the probe before the work", async () => {
  const place = marked();
  const { store } = place.w;
  let answers = false;
  const decisions: typeof store.transactions.decisions = (ids) =>
    answers ? store.transactions.decisions(ids) : Promise.reject(new Error("out of reach"));
  const log = { ...store, transactions: { ...store.transactions, decisions } };
  const shop = openShop(place, { prepare: "eager", overrides: { log } });
  expect((await shop.order()).status).toBe(503);
  expect(shop.runs()).toBe(0);
  answers = true;
  expect((await shop.order()).status).toBe(201);
});

test("two services that share a store do not share their keys", async () => {
  const place = barrier();
  await openShop(place).order();
  const other = openShop(place, { handler: (c) => c.text("mine"), overrides: { source: "another" } });
  expect(await (await other.order()).text()).toBe("mine");
});

/** The clock of a process that gets no time: nothing wakes it. */
const standingClock = {
  now: () => 0,
  sleep: (_millis: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true })),
};

function withoutRenewals(store: LogStore): LogStore {
  return { ...store, inbox: { ...store.inbox, renew: () => Promise.reject(new Error("out of reach")) } };
}

describe("what a request costs", () => {
  const calls = async (w: Parameters<typeof steps>[0], place: Place, inits: readonly OrderInit[]) => {
    let made: string[] = [];
    const counted = steps(w, (call, name) => {
      made.push(name);
      return call();
    });
    const shop = openShop(place, { overrides: counted, required: false, handler: (c) => c.text("fine") });
    const each: (readonly string[])[] = [];
    for (const init of inits) {
      made = [];
      expect((await shop.order(init)).status).toBe(200);
      each.push(made);
    }
    return each;
  };
  const inits = [{ key: undefined }, {}, {}];
  const first = ["inbox.claim", "inbox.claim", "inbox.complete"];

  test("without a key nothing, the first time three calls of the inbox, answered again one", async () => {
    const w = memoryWorld("run");
    expect(await calls(w, { ...marked(), w }, inits)).toEqual([[], first, ["inbox.claim"]]);
  });

  test("with a database nothing of the log", async () => {
    const w = memoryWorld("run");
    const place = { ...barrier(), w };
    expect(await calls(w, place, inits)).toEqual([[], first, ["inbox.claim"]]);
  });
});
