import { Hono } from "hono";
import { aftercommit, topic } from "aftercommit";
import type { Aftercommit, AftercommitEnv, Dispatch, Event, LogStore, Transport } from "aftercommit";
import { memoryReceiver, memoryStore, memoryTransport } from "aftercommit/memory";
import type { MemoryReceiver, MemoryStore, MemoryTransport } from "aftercommit/memory";
import { simulatedClock } from "../../src/testing/simulated-clock.ts";
import type { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import * as z from "zod/mini";

/**
 * A world in which one process can go wrong at one of its awaits: everything it awaits of the outside (log, inbox,
 * transport, business data) is a numbered fault point. What other processes do is not counted.
 */

/** How an await can end badly. */
export const FAULTS = ["failsBeforeItActs", "actsAndReplyIsLost", "diesBefore", "diesAfter"] as const;
export type Fault = (typeof FAULTS)[number];

/** One process: where it goes wrong, and what it has done so far. */
export interface Process {
  readonly fault: Fault | undefined;
  /** The number of the await that goes wrong. */
  readonly at: number;
  /** What it awaited, by name. */
  readonly awaited: string[];
  dead: boolean;
  /** Resolves at its death: what it has open breaks off then. */
  readonly died: Promise<void>;
  /** Ends it. */
  die(): void;
}

/** A process that goes wrong at one await; without a fault it is sound. */
export function processWith(fault?: Fault, at = -1): Process {
  let broken = (): void => undefined;
  const died = new Promise<void>((resolve) => (broken = resolve));
  return {
    fault,
    at,
    awaited: [],
    dead: false,
    died,
    die() {
      this.dead = true;
      broken();
    },
  };
}

/** The answer that a dead process gets. */
export const NEVER = new Promise<never>(() => undefined);

/** Counts an await, and says what goes wrong with it. */
export function faultAt(process: Process, name: string): Fault | undefined {
  return process.awaited.push(name) - 1 === process.at ? process.fault : undefined;
}

/** Passes a call of the outside through a process's fault. A dead process gets no answers any more. */
export async function await_<T>(process: Process, name: string, call: () => T | Promise<T>): Promise<T> {
  if (process.dead) return NEVER;
  const fault = faultAt(process, name);
  if (fault === "diesBefore") process.die();
  if (process.dead) return NEVER;
  if (fault === "failsBeforeItActs") throw new Error(`${name} failed`);
  const result = await call();
  if (fault === "diesAfter") process.die();
  if (process.dead) return NEVER;
  if (fault === "actsAndReplyIsLost") throw new Error(`the reply of ${name} was lost`);
  return result;
}

/** Runs a scenario once for each await that it has. */
export async function atEachAwait(fault: Fault, run: (process: Process) => Promise<void>): Promise<number> {
  for (let at = 0; at < 200; at++) {
    const process = processWith(fault, at);
    try {
      await run(process);
    } catch (error) {
      throw new Error(
        `await ${at} (${process.awaited[at] ?? "none"}): ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
    if (process.awaited.length <= at) return at;
  }
  throw new Error("a scenario without end");
}

/** An object whose every method is a fault point of the process. */
export function through<T extends object>(process: Process, name: string, target: T): T {
  return new Proxy(target, {
    get(object, key) {
      const value = Reflect.get(object, key) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        await_(process, `${name}.${String(key)}`, () => Reflect.apply(value, object, args) as unknown);
    },
  });
}

/** A store whose every call is a fault point of the process. */
export function storeOf(process: Process, store: LogStore): LogStore {
  return {
    transactions: through(process, "log", store.transactions),
    deadLetters: through(process, "deadLetters", store.deadLetters),
    reader: through(process, "reader", store.reader),
    inbox: through(process, "inbox", store.inbox),
    shardOf: (id) => store.shardOf(id),
    mark: (fresh) => store.mark(fresh),
    cleanUp: (options) => store.cleanUp(options),
  };
}

/** A transport whose every call is a fault point of the process. */
export function transportOf(process: Process, transport: MemoryTransport, receiver: MemoryReceiver): Transport {
  return {
    publish: (dispatches) => await_(process, "transport.publish", () => transport.publish(dispatches)),
    reports: through(process, "reports", transport.reports),
    receiver,
  };
}

export const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));
export const orderFailed = topic("order.failed", z.object({ orderId: z.string() }));
export const receiptSent = topic("receipt.sent", z.object({ orderId: z.string() }));

/** What a handler does after it has published. */
export type Behaviour = "succeeds" | "answers 500" | "throws" | "throws after the write";
export const BEHAVIOURS: readonly Behaviour[] = ["succeeds", "answers 500", "throws", "throws after the write"];

/** The one order that a request is about. */
export const ORDER = "order-1";
const URL_BASE = "https://shop.example.com";

/** Everything that outlives a process. */
export interface World {
  readonly clock: SimulatedClock;
  readonly store: MemoryStore;
  readonly transport: MemoryTransport;
  readonly receiver: MemoryReceiver;
  /** The business data: the transactions in which an order was written. */
  readonly orders: Set<string>;
  /** What consumers did, by consumer and message id, one entry an effect. */
  readonly effects: {
    readonly consumer: string;
    readonly messageId: string;
    readonly topic: string;
    readonly by: Process;
  }[];
  readonly events: Event[];
  /** Every verdict that the log ever gave, by transaction. */
  readonly verdicts: Map<string, Set<string>>;
}

export function newWorld(): World {
  const clock = simulatedClock();
  const receiver = memoryReceiver();
  const store = memoryStore({ clock });
  const verdicts = new Map<string, Set<string>>();
  const { transactions } = store;
  const watched: MemoryStore = {
    ...store,
    transactions: {
      ...transactions,
      async decide(id, verdict, at) {
        const decision = await transactions.decide(id, verdict, at);
        verdicts.set(id, (verdicts.get(id) ?? new Set()).add(decision.verdict));
        return decision;
      },
    },
  };
  return {
    clock,
    store: watched,
    transport: memoryTransport({ receiver }),
    receiver,
    orders: new Set(),
    effects: [],
    events: [],
    verdicts,
  };
}

/** A start of the shop: its app, served by one process. */
export interface Start {
  readonly app: Hono<AftercommitEnv>;
  readonly ac: Aftercommit;
  readonly process: Process;
}

/** Starts the shop in a process. */
export function start(
  world: World,
  process: Process,
  level: "marked" | "checked",
  behaviour: Behaviour = "succeeds",
): Start {
  const ac = aftercommit({
    publicUrl: URL_BASE,
    log: storeOf(process, world.store),
    transport: transportOf(process, world.transport, world.receiver),
    routes: {
      [orderPaid.name]: ["/consumers/receipt", "/consumers/stock"],
      [orderFailed.name]: ["/consumers/failed"],
      [receiptSent.name]: ["/consumers/archive"],
    },
    checks: { order: (id) => await_(process, "check", () => (world.orders.has(id) ? "committed" : "rolledBack")) },
    clock: world.clock,
    observer: { event: (event) => world.events.push(event) },
  });
  const app = new Hono<AftercommitEnv>();
  app.use("/orders", level === "checked" ? ac.transaction({ check: "order" }) : ac.transaction());
  app.post("/orders", async (c) => {
    const { tx } = c.var;
    await tx.publish(orderPaid, { orderId: ORDER });
    await tx.publish(orderFailed, { orderId: ORDER }, { on: "rollback" });
    if (behaviour === "throws") throw new Error("before the write");
    if (behaviour === "answers 500") return c.json({}, 500);
    await await_(process, "business.write", () => world.orders.add(tx.id));
    if (behaviour === "throws after the write") throw new Error("after the write");
    return c.json({ transactionId: tx.id }, 201);
  });
  app.onError((_error, c) => c.json({}, 500));

  const effect = (consumer: string, message: { id: string; topic: string }) =>
    await_(process, `effect.${consumer}`, () => {
      world.effects.push({ consumer, messageId: message.id, topic: message.topic, by: process });
    });
  app.post(
    "/consumers/receipt",
    ac.consumer(orderPaid, async (message) => {
      await message.tx.publish(receiptSent, { orderId: message.data.orderId });
      await effect("receipt", message);
    }),
  );
  app.post(
    "/consumers/stock",
    ac.consumer(orderPaid, (message) => effect("stock", message)),
  );
  app.post(
    "/consumers/failed",
    ac.consumer(orderFailed, (message) => effect("failed", message)),
  );
  app.post(
    "/consumers/archive",
    ac.consumer(receiptSent, (message) => effect("archive", message)),
  );
  app.route("/_aftercommit", ac.operations());
  return { app, ac, process };
}

/** How many turns of the event loop a call is given before time is allowed to pass. */
const PATIENCE = 60;

/** Lets the world go on until a call answers, or its process is dead. */
export async function outcomeOf<T>(
  world: Pick<World, "clock">,
  process: Process,
  call: Promise<T>,
): Promise<T | "died"> {
  const ended: { value?: T; error?: unknown; done: boolean } = { done: false };
  call.then(
    (value) => Object.assign(ended, { value, done: true }),
    (error: unknown) => Object.assign(ended, { error, done: true }),
  );
  let afterDeath = 0;
  for (let turn = 0; turn < 10 * PATIENCE; turn++) {
    await world.clock.advance(turn < PATIENCE ? 0 : 200);
    if (ended.done && "error" in ended) throw ended.error;
    if (ended.done) return ended.value as T;
    if (process.dead && ++afterDeath > 3) return "died";
  }
  throw new Error("the call neither ended nor died");
}

/** Delivers one dispatch as the transport does, once; `"died"` where the process died under it. */
export async function deliver(
  world: Pick<World, "clock" | "receiver">,
  shop: Start,
  dispatch: Dispatch,
  attempt: number,
): Promise<number | "died"> {
  const { destination, meta } = dispatch.record;
  const headers = await world.receiver.sign(destination, dispatch.body, { attempt, meta });
  const call = Promise.resolve(shop.app.request(destination, { method: "POST", headers, body: dispatch.body }));
  const response = await outcomeOf(world, shop.process, call);
  if (response === "died") return "died";
  const drained = await outcomeOf(world, shop.process, shop.ac.drain());
  return drained === "died" ? "died" : response.status;
}

/** What a person found held. */
export interface Recovery {
  readonly held: number;
}

/**
 * Lets sound processes finish: sweeps, deliveries with retries, and a person who decides what is held by looking whether
 * the order is there. Ends when nothing is left to do.
 */
export async function recover(
  world: World,
  level: "marked" | "checked",
  pending: readonly Dispatch[] = [],
): Promise<Recovery> {
  const shop = start(world, processWith(), level);
  const waiting = pending.map((dispatch) => ({ dispatch, attempt: 2 }));
  let held = 0;
  for (let round = 0; round < 30; round++) {
    await shop.ac.operator().sweep({ audit: false });
    waiting.push(...world.transport.take().map((dispatch) => ({ dispatch, attempt: 1 })));
    for (const entry of waiting.splice(0)) {
      const status = await deliver(world, shop, entry.dispatch, entry.attempt);
      if (status === 200) world.transport.markDelivered(entry.dispatch);
      else waiting.push({ ...entry, attempt: entry.attempt + 1 });
    }
    for (const { transactionId } of (await world.store.reader.listHeld()).items) {
      if ((await world.store.transactions.decisions([transactionId])).has(transactionId)) continue;
      held++;
      await shop.ac.operator().decide(transactionId, world.orders.has(transactionId) ? "committed" : "rolledBack");
    }
    const counts = await world.store.reader.counts();
    if (counts.unsettled === 0 && counts.held === 0 && waiting.length === 0 && round > 1) return { held };
    await world.clock.advance(180_000);
  }
  throw new Error(`not settled: ${JSON.stringify(await world.store.reader.counts())}, ${waiting.length} undelivered`);
}
