import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { aftercommit, topic } from "aftercommit";
import type { Aftercommit, AftercommitEnv, Databases, Dispatch } from "aftercommit";
import { memoryDatabase, memoryPayloadStore } from "aftercommit/memory";
import type { MemoryDatabase, MemoryPayloadStore } from "aftercommit/memory";
import { payloads } from "aftercommit/payloads";
import {
  atEachAwait,
  await_,
  deliver,
  FAULTS,
  newWorld,
  outcomeOf,
  processWith,
  storeOf,
  through,
  transportOf,
} from "../../e2e/crash-world.ts";
import type { Process, Start, World } from "../../e2e/crash-world.ts";
import { useInstantCrypto } from "../../support/instant-crypto.ts";
import { envelopeOf, keysOf } from "../../support/payload-world.ts";

/**
 * A crash, an error or a lost reply at each await of a message whose data lie in a payload store, encrypted, one after
 * the other. Then sound processes recover: no message is lost, and none goes out whose payload is not there.
 */

useInstantCrypto();

const parcelSent = topic("parcel.sent", z.object({ text: z.string() }));
const parcelNoted = topic("parcel.noted", z.object({ text: z.string() }));
const parcel = { text: "large ".repeat(100) };
const URL_BASE = "https://shop.example.com";

interface Depot extends World {
  readonly main: MemoryDatabase;
  readonly payloadStore: MemoryPayloadStore;
  /** What consumers were given, by consumer. */
  readonly received: Record<"receipt" | "stock" | "note", unknown[]>;
}

function newDepot(): Depot {
  const w = newWorld();
  return {
    ...w,
    main: memoryDatabase({ clock: w.clock }),
    payloadStore: memoryPayloadStore({ clock: w.clock }),
    received: { receipt: [], stock: [], note: [] },
  };
}

type Level = "checked" | "barrier";

/** Starts the service in a process: `destinations` of them get each parcel. */
function start(depot: Depot, process: Process, level: Level, destinations: 1 | 2): Start {
  const store = storeOf(process, depot.store);
  const { prepare } = depot.store.transactions;
  // Whatever the log is given as a half message must be readable by then.
  depot.store.transactions.prepare = async (records) => {
    for (const { body } of records)
      expect(depot.payloadStore.texts().has(String(envelopeOf({ body })["dataref"]))).toBe(true);
    return prepare(records);
  };
  const databases: Databases = { main: through(process, "database", depot.main) };
  const ac: Aftercommit = aftercommit({
    publicUrl: URL_BASE,
    log: store,
    databases,
    transport: transportOf(process, depot.transport, depot.receiver),
    routes: {
      [parcelSent.name]: ["/consumers/receipt", "/consumers/stock"].slice(0, destinations),
      [parcelNoted.name]: ["/consumers/note"],
    },
    checks: { parcel: (id) => await_(process, "check", () => (depot.orders.has(id) ? "committed" : "rolledBack")) },
    payloads: payloads({
      encryption: keysOf(1),
      claimCheck: { store: through(process, "payloads", depot.payloadStore), above: 100 },
    }),
    clock: depot.clock,
    observer: { event: (event) => depot.events.push(event) },
  });
  const app = new Hono<AftercommitEnv>();
  app.use("/parcels", level === "checked" ? ac.transaction({ check: "parcel" }) : ac.transaction({ database: "main" }));
  app.post("/parcels", async (c) => {
    const { tx } = c.var;
    await tx.publish(parcelSent, parcel);
    if (level === "checked") await await_(process, "business.write", () => depot.orders.add(tx.id));
    else await tx.run("main", async () => undefined);
    return c.json({});
  });
  app.onError((_error, c) => c.json({}, 500));
  const consumer = (name: "receipt" | "stock" | "note", republishes: boolean) =>
    app.post(
      `/consumers/${name}`,
      ac.consumer(name === "note" ? parcelNoted : parcelSent, async (message) => {
        if (republishes) await message.tx.publish(parcelNoted, message.data);
        await await_(process, `effect.${name}`, () => depot.received[name].push(message.data));
      }),
    );
  consumer("receipt", true);
  consumer("stock", false);
  consumer("note", false);
  app.route("/_aftercommit", ac.operations());
  return { app, ac, process };
}

/** Lets sound processes finish. */
async function recover(
  depot: Depot,
  level: Level,
  destinations: 1 | 2,
  pending: readonly Dispatch[] = [],
): Promise<void> {
  const service = start(depot, processWith(), level, destinations);
  const waiting = pending.map((dispatch) => ({ dispatch, attempt: 2 }));
  for (let round = 0; round < 30; round++) {
    await outcomeOf(depot, service.process, service.ac.operator().sweep({ audit: true }));
    waiting.push(...depot.transport.take().map((dispatch) => ({ dispatch, attempt: 1 })));
    for (const entry of waiting.splice(0)) {
      const status = await deliver(depot, service, entry.dispatch, entry.attempt);
      expect([entry.dispatch.record.topic, status], "a sound consumer can open whatever was sent").toSatisfy(
        ([, found]: [string, number]) => found === 200 || found === 503,
      );
      if (status === 200) depot.transport.markDelivered(entry.dispatch);
      else waiting.push({ ...entry, attempt: entry.attempt + 1 });
    }
    const counts = await depot.store.reader.counts();
    if (counts.unsettled === 0 && waiting.length === 0 && round > 2) return;
    await depot.clock.advance(180_000);
  }
  throw new Error(`not settled: ${JSON.stringify(await depot.store.reader.counts())}`);
}

/** Whether the business part of the request was done. */
function isWritten(depot: Depot, level: Level): boolean {
  if (level === "checked") return depot.orders.size > 0;
  return depot.main.snapshot().some(([key]) => key.startsWith("decision/"));
}

async function expectAllOrNothing(depot: Depot, written: boolean, destinations: 1 | 2): Promise<void> {
  const { receipt, stock, note } = depot.received;
  expect(receipt.length > 0, "the parcel arrives if, and only if, the work was done").toBe(written);
  expect(stock.length > 0).toBe(written && destinations === 2);
  expect(note.length > 0, "what the consumer published arrives as well").toBe(written);
  for (const data of [...receipt, ...stock, ...note]) expect(data).toEqual(parcel);
  expect(await depot.store.reader.counts()).toMatchObject({ unsettled: 0, held: 0, dead: 0 });
}

const LEVELS = ["checked", "barrier"] as const;
const cases = LEVELS.flatMap((level) =>
  ([1, 2] as const).flatMap((destinations) => FAULTS.map((fault) => [level, destinations, fault] as const)),
);

test.each(cases)(
  "a producer at the level %s with %i destinations, in a process that %s at any await, loses no message and no payload",
  { timeout: 120_000 },
  async (level, destinations, fault) => {
    const awaits = await atEachAwait(fault, async (process) => {
      const depot = newDepot();
      const service = start(depot, process, level, destinations);
      const request = Promise.resolve(service.app.request("/parcels", { method: "POST" }));
      const answered = await outcomeOf(depot, process, request);
      if (answered !== "died") await outcomeOf(depot, process, service.ac.drain());
      await recover(depot, level, destinations);
      await expectAllOrNothing(depot, isWritten(depot, level), destinations);
    });
    expect(awaits).toBeGreaterThanOrEqual(4);
  },
);

test.each(cases)(
  "a consumer at the level %s, one of %i, in a process that %s at any await, is given the payload again",
  { timeout: 120_000 },
  async (level, destinations, fault) => {
    const awaits = await atEachAwait(fault, async (process) => {
      const depot = newDepot();
      const producer = start(depot, processWith(), level, destinations);
      await outcomeOf(depot, producer.process, Promise.resolve(producer.app.request("/parcels", { method: "POST" })));
      await outcomeOf(depot, producer.process, producer.ac.drain());
      const service = start(depot, process, level, destinations);
      const undelivered: Dispatch[] = [];
      for (const dispatch of depot.transport.take()) {
        const status = process.dead ? "died" : await deliver(depot, service, dispatch, 1);
        if (status === 200) depot.transport.markDelivered(dispatch);
        else undelivered.push(dispatch);
      }
      await depot.clock.advance(31_000);
      await recover(depot, level, destinations, undelivered);
      await expectAllOrNothing(depot, true, destinations);
      if (destinations === 1 && process.awaited.length <= process.at)
        expect([...depot.payloadStore.texts().keys()], "what is done is dropped").toEqual([]);
    });
    expect(awaits).toBeGreaterThanOrEqual(5);
  },
);

describe("a dead letter that is sent as a new message", () => {
  test.each(FAULTS)(
    "by a process that %s at any await is a letter or a message, payload and all",
    { timeout: 120_000 },
    async (fault) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const depot = newDepot();
        const producer = start(depot, processWith(), "checked", 1);
        await outcomeOf(depot, producer.process, Promise.resolve(producer.app.request("/parcels", { method: "POST" })));
        await outcomeOf(depot, producer.process, producer.ac.drain());
        const [dispatch] = depot.transport.take();
        const letter = depot.transport.markFailed(dispatch!);
        const headers = await depot.receiver.sign(dispatch!.failureUrl!, depot.receiver.failureBody(letter));
        const body = depot.receiver.failureBody(letter);
        await outcomeOf(
          depot,
          producer.process,
          Promise.resolve(producer.app.request(dispatch!.failureUrl!, { method: "POST", headers, body })),
        );
        const { key } = dispatch!.record;
        const operator = start(depot, process, "checked", 1).ac.operator();
        await outcomeOf(depot, process, operator.redrive(key, { asNew: true })).catch(() => undefined);
        // The time of the first payload is over: the new message has its own.
        const [first] = depot.payloadStore.texts().keys();
        const dead = (await depot.store.reader.listDead()).items.length;
        if (dead === 0) await depot.payloadStore.delete(first!);
        await recover(depot, "checked", 1);
        expect(depot.received.receipt.length + dead, "neither lost").toBeGreaterThan(0);
        if (dead === 0) expect(depot.received.receipt).toEqual([parcel]);
      });
      expect(awaits).toBeGreaterThanOrEqual(4);
    },
  );
});
