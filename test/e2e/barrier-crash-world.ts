import { Hono } from "hono";
import { aftercommit, OutcomeUnknownError, topic } from "aftercommit";
import type { AftercommitEnv, AftercommitOptions, Dispatch, Event, LogStore } from "aftercommit";
import { memoryReceiver, memoryStore, memoryTransport } from "aftercommit/memory";
import type { MemoryReceiver, MemoryStore, MemoryTransport } from "aftercommit/memory";
import * as z from "zod/mini";
import { simulatedClock } from "../../src/testing/simulated-clock.ts";
import type { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { databaseOf } from "./barrier-crash-database.ts";
import { memoryLedger } from "./barrier-crash-ledger.ts";
import type { Ledger } from "./barrier-crash-ledger.ts";
import {
  await_,
  deliver,
  orderFailed,
  orderPaid,
  outcomeOf,
  processWith,
  storeOf,
  transportOf,
} from "./crash-world.ts";
import type { Process, Start } from "./crash-world.ts";

/** The crash world's shop at the level `barrier`: its database decides. */

export const orderLogged = topic("order.logged", z.object({ orderId: z.string() }));
export const receiptSent = topic("receipt.sent", z.object({ orderId: z.string() }));
export const receiptTorn = topic("receipt.torn", z.object({ orderId: z.string() }));

/** What a handler does. */
export type Behaviour =
  | "succeeds"
  | "throws before its work"
  | "throws inside of its work"
  | "throws after its commit"
  | "answers 500 after its commit";
export const BEHAVIOURS: readonly Behaviour[] = [
  "succeeds",
  "throws before its work",
  "throws inside of its work",
  "throws after its commit",
  "answers 500 after its commit",
];

/** What becomes of the log. */
export type LogFate = "answers" | "is out of reach throughout" | "is emptied by the crash" | "is not there";

/** How the shop is made. */
export interface ShopOptions {
  readonly behaviour?: Behaviour;
  readonly verb?: "run" | "batch";
  /** Whether the handler registers a message for a rollback. @default false */
  readonly compensates?: boolean;
  /** What the receipt's consumer does with its message. @default "runs" */
  readonly receipt?: Receipt;
}
export type Receipt = "runs" | "batches" | "publishes only" | "throws after its commit" | "compensates";
export const RECEIPTS: readonly Receipt[] = [
  "runs",
  "batches",
  "publishes only",
  "throws after its commit",
  "compensates",
];

/** Everything that outlives a process. */
export interface BarrierWorld {
  readonly clock: SimulatedClock;
  readonly ledger: Ledger;
  readonly log: LogFate;
  readonly store: MemoryStore;
  readonly transport: MemoryTransport;
  readonly receiver: MemoryReceiver;
  readonly events: Event[];
  /** Every verdict that ever stood, by transaction. */
  readonly verdicts: Map<string, Set<string>>;
  /** What the handler was told. */
  readonly told: { outcome?: "committed" | "rolledBack"; registered?: true };
}

const URL_BASE = "https://shop.example.com";
/** The source of its rows. */
const SOURCE = `${URL_BASE}/`;
const ORDER = { orderId: "order-1" };

export async function newWorld(
  log: LogFate = "answers",
  makeLedger: (clock: SimulatedClock) => Ledger | Promise<Ledger> = memoryLedger,
): Promise<BarrierWorld> {
  const simulated = simulatedClock();
  const ledger = await makeLedger(simulated);
  const verdicts = new Map<string, Set<string>>();
  const clock: SimulatedClock = {
    ...simulated,
    async advance(millis) {
      await simulated.advance(millis);
      ledger.pass(millis);
      for (const [id, verdict] of ledger.verdicts()) verdicts.set(id, (verdicts.get(id) ?? new Set()).add(verdict));
    },
  };
  const receiver = memoryReceiver();
  const transport = memoryTransport({ receiver });
  const store = memoryStore({ clock });
  return { clock, ledger, log, store, transport, receiver, events: [], verdicts, told: {} };
}

/** The store as a process of this world reaches it. */
function reached({ log, store }: BarrierWorld): LogStore {
  if (log !== "is out of reach throughout") return store;
  const silent = () => Promise.reject(new Error("the log is out of reach"));
  const part = (): never => new Proxy({}, { get: () => silent }) as never;
  return {
    transactions: part(),
    deadLetters: part(),
    reader: part(),
    inbox: part(),
    shardOf: () => 0,
    mark: silent,
    cleanUp: silent,
  };
}

/** Starts the shop in a process. */
export function start(world: BarrierWorld, process: Process, options: ShopOptions = {}): Start {
  const { ledger, log } = world;
  const { verb = "run" } = options;
  const inStore = log === "answers" || log === "is emptied by the crash";
  const configuration: AftercommitOptions = {
    publicUrl: URL_BASE,
    ...(log === "is not there" ? {} : { log: storeOf(process, reached(world)) }),
    ...(inStore ? {} : { inbox: "main" }),
    databases: { main: databaseOf(process, ledger.database) },
    transport: transportOf(process, world.transport, world.receiver),
    routes: {
      [orderPaid.name]: ["/consumers/receipt", "/consumers/stock"],
      [orderLogged.name]: "/consumers/log",
      [orderFailed.name]: "/consumers/failed",
      [receiptSent.name]: "/consumers/archive",
      [receiptTorn.name]: "/consumers/torn",
    },
    clock: world.clock,
    observer: { event: (event) => world.events.push(event) },
  };
  const ac = aftercommit(configuration);
  const app = new Hono<AftercommitEnv>();
  app.use("/orders", ac.transaction({ database: "main" }));
  app.post("/orders", async (c) => {
    const { tx } = c.var;
    const { behaviour = "succeeds" } = options;
    if (options.compensates === true) {
      await tx.publish(orderFailed, ORDER, { on: "rollback" });
      world.told.registered = true;
    }
    await tx.publish(orderPaid, ORDER);
    if (behaviour === "throws before its work") throw new Error("before the work");
    const work = async (sql: unknown): Promise<void> => {
      await await_(process, "database.statement", () => ledger.order(sql, tx.id));
      if (behaviour === "throws inside of its work") throw new Error("inside of the work");
    };
    try {
      if (verb === "batch") {
        await tx.publish(orderLogged, ORDER);
        await tx.batch("main", [
          async (sql: unknown) => {
            await ledger.order(sql, tx.id);
            if (behaviour === "throws inside of its work") throw new Error("inside of the work");
          },
        ]);
      } else {
        await tx.run("main", async (sql: unknown) => {
          await work(sql);
          await tx.publish(orderLogged, ORDER);
        });
      }
      world.told.outcome = "committed";
    } catch (error) {
      if (!OutcomeUnknownError.is(error)) world.told.outcome = "rolledBack";
      throw error;
    }
    if (behaviour === "throws after its commit") throw new Error("after the commit");
    return c.json({}, behaviour === "answers 500 after its commit" ? 500 : 201);
  });
  app.onError((_error, c) => c.json({}, 500));

  mountConsumers(world, { app, ac, process }, options.receipt);
  app.route("/_aftercommit", ac.operations());
  return { app, ac, process };
}

/** Mounts what consumes the shop's messages; the effect of each is a row. */
function mountConsumers({ ledger }: BarrierWorld, { app, ac, process }: Start, receipt: Receipt = "runs"): void {
  const main = { database: "main" };
  const effect = (consumer: string, messageId: string) => (sql: unknown) =>
    await_(process, `effect.${consumer}`, () => ledger.effect(sql, consumer, messageId));
  app.post(
    "/consumers/receipt",
    ac.consumer(
      orderPaid,
      async (message) => {
        if (receipt === "compensates") await message.tx.publish(receiptTorn, message.data, { on: "rollback" });
        await message.tx.publish(receiptSent, message.data);
        if (receipt === "publishes only") return;
        if (receipt === "batches")
          await message.batch("main", [(sql: unknown) => ledger.effect(sql, "receipt", message.id)]);
        else await message.run("main", effect("receipt", message.id));
        if (receipt === "throws after its commit" && message.attempt === 1) throw new Error("after the commit");
      },
      main,
    ),
  );
  for (const [consumer, consumed] of [
    ["stock", orderPaid],
    ["log", orderLogged],
    ["failed", orderFailed],
    ["archive", receiptSent],
    ["torn", receiptTorn],
  ] as const) {
    app.post(
      `/consumers/${consumer}`,
      ac.consumer(consumed, (message) => message.run("main", effect(consumer, message.id)), main),
    );
  }
}

/** Makes the one request, and lets what goes on after its answer end. */
export async function order(world: BarrierWorld, shop: Start): Promise<number | "died"> {
  const { process } = shop;
  const call = Promise.resolve(shop.app.request("/orders", { method: "POST" }));
  const answered = await outcomeOf(world, process, call);
  if (answered === "died") return "died";
  await outcomeOf(world, process, shop.ac.drain());
  return answered.status;
}

/**
 * Lets a sound process finish: it sweeps and audits, and what was sent is delivered with retries, until nothing is left.
 */
export async function recover(world: BarrierWorld, options: ShopOptions = {}, pending: readonly Dispatch[] = []) {
  if (world.log === "is emptied by the crash")
    world.store.restore({ due: [], decisions: [], held: [], dead: [], left: [], inbox: [] });
  const shop = start(world, processWith(), options);
  const waiting = pending.map((dispatch) => ({ dispatch, attempt: 2 }));
  for (let round = 0; round < 30; round++) {
    await outcomeOf(world, shop.process, shop.ac.operator().sweep({ audit: true }));
    waiting.push(...world.transport.take().map((dispatch) => ({ dispatch, attempt: 1 })));
    for (const entry of waiting.splice(0)) {
      const status = await deliver(world, shop, entry.dispatch, entry.attempt);
      if (status === 200) world.transport.markDelivered(entry.dispatch);
      else waiting.push({ ...entry, attempt: entry.attempt + 1 });
    }
    if (waiting.length === 0 && (await unsettled(world)) === 0 && round > 1) return;
    await world.clock.advance(180_000);
  }
  throw new Error(`not settled: ${await unsettled(world)} unsettled, ${waiting.length} undelivered`);
}

/** What waits in the rows and, where it is reached, in the log. */
async function unsettled({ ledger, store }: BarrierWorld): Promise<number> {
  const inRows = await ledger.database.reader.counts(SOURCE);
  const inLog = await store.reader.counts();
  return inRows.unsettled + inRows.dead + inLog.unsettled + inLog.held + inLog.dead;
}
