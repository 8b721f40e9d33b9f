import { expect } from "vitest";
import type { AftercommitOptions } from "aftercommit";
import { idempotencyKey } from "aftercommit/idempotency";
import { memoryDatabase } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql } from "aftercommit/memory";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import { databaseOf } from "../../e2e/barrier-crash-database.ts";
import { await_, outcomeOf, processWith, storeOf, transportOf } from "../../e2e/crash-world.ts";
import type { Process } from "../../e2e/crash-world.ts";
import { orderPaid, seatFreed, world } from "../../support/world.ts";
import type { App, World } from "../../support/world.ts";
import { KEY } from "./keyed-shop.ts";

/**
 * A caller that makes one request until it is told what came of it, and processes that go wrong at one of their awaits.
 */

export type Level = "marked" | "checked" | "barrier with run" | "barrier with batch" | "barrier without a log";
export const LEVELS: readonly Level[] = [
  "marked",
  "checked",
  "barrier with run",
  "barrier with batch",
  "barrier without a log",
];

/** Everything that outlives a process. */
export interface CrashWorld {
  readonly base: World;
  readonly main: MemoryDatabase;
  readonly level: Level;
  /** Whether the handler registers a message for a rollback. */
  readonly compensates: boolean;
  /** At the levels of the log: the transactions in which the order was written, one entry each time. */
  readonly written: string[];
}

export function newWorld(level: Level, compensates = false): CrashWorld {
  const base = world();
  return { base, main: memoryDatabase({ clock: base.clock }), level, compensates, written: [] };
}

/** The transactions in which the order was written. */
export function effects({ main, written }: CrashWorld): readonly string[] {
  return [...written, ...main.table().values()].map(String);
}

const isBarrier = ({ level }: CrashWorld): boolean => level.startsWith("barrier");

/** A shop that is served by one process. */
export interface Start {
  readonly process: Process;
  readonly app: App;
  drain(): Promise<void>;
  sweep(): Promise<unknown>;
}

/** Starts the shop in a process; `during` is what happens while the handler works. */
export function start(w: CrashWorld, process: Process, during?: () => Promise<void>): Start {
  const { base, main, level, compensates, written } = w;
  const { run, batch, ...rest } = main;
  const database = (level === "barrier with batch" ? { ...rest, batch } : { ...rest, run }) as AnyDatabase;
  const overrides: Partial<AftercommitOptions> = {
    log: level === "barrier without a log" ? undefined : storeOf(process, base.store),
    transport: transportOf(process, base.transport, base.receiver),
    ...(isBarrier(w)
      ? { databases: { main: databaseOf(process, database) } }
      : {
          checks: {
            order: (id) => await_(process, "check", () => (written.includes(id) ? "committed" : "rolledBack")),
          },
        }),
  };
  const { ac, app } = base.service(overrides);
  app.onError((_error, c) => c.json({}, 500));
  const at = isBarrier(w) ? { database: "main" } : level === "checked" ? { check: "order" } : {};
  app.post("/orders", idempotencyKey(ac, { scope: () => "anna", required: true, ...at }), async (c) => {
    const { tx } = c.var;
    await tx.publish(orderPaid, { orderId: tx.id });
    if (compensates) await tx.publish(seatFreed, { seat: tx.id }, { on: "rollback" });
    await during?.();
    const insert = (sql: MemorySql) => sql.insert(`order ${tx.id}`, tx.id);
    if (!isBarrier(w)) await await_(process, "business.write", () => written.push(tx.id));
    else if (level === "barrier with batch") await tx.batch("main", [(sql: unknown) => insert(sql as MemorySql)]);
    else {
      await tx.run("main", (sql: unknown) => await_(process, "database.statement", () => insert(sql as MemorySql)));
    }
    return c.json({ transactionId: tx.id }, 201);
  });
  return { process, app, drain: () => ac.drain(), sweep: () => ac.operator().sweep({ audit: true }) };
}

/** What a caller was told. */
export interface Told {
  readonly status: number;
  readonly code?: string;
  readonly transactionId?: string;
}

/** Makes the request once. */
export async function ask({ base }: CrashWorld, shop: Start): Promise<Told | "died"> {
  const init = { method: "POST", headers: { "idempotency-key": KEY }, body: "one order" };
  const response = await outcomeOf(base, shop.process, Promise.resolve(shop.app.request("/orders", init)));
  if (response === "died") return "died";
  const body = (await response.json()) as Omit<Told, "status">;
  await outcomeOf(base, shop.process, shop.drain());
  return { ...body, status: response.status };
}

/** Whether a caller knows what came of its request. */
export function isFinal(told: Told | "died"): told is Told {
  return told !== "died" && (told.status === 201 || told.code === "answer-not-kept");
}

/** Makes the request until the caller knows what came of it. */
export async function askUntilTold(w: CrashWorld, first: Told | "died"): Promise<Told> {
  let told = first;
  const sound = start(w, processWith());
  for (let i = 0; !isFinal(told) && i < 12; i++) {
    await w.base.clock.advance(11_000);
    told = await ask(w, sound);
  }
  expect(isFinal(told), `the caller is told the outcome, and not ${JSON.stringify(told)}`).toBe(true);
  return told as Told;
}

/** Lets sound processes finish what is left, and checks what must be true then. */
export async function expectOnce(w: CrashWorld, told: Told, process: Process): Promise<void> {
  const sound = start(w, processWith());
  for (let i = 0; i < 4; i++) {
    await w.base.clock.advance(180_000);
    await outcomeOf(w.base, sound.process, sound.sweep());
  }
  const orders = effects(w);
  // Without a database a crash between the write and its mark is found out by a check alone.
  const mayDouble = w.level === "marked" && (process.dead || process.awaited[process.at] === "business.write");
  if (mayDouble) expect(orders.length).toBeGreaterThanOrEqual(1);
  else expect(orders, "one effect").toHaveLength(1);
  expect(orders, "the caller was told of it").toContain(told.transactionId);

  const sent = w.base.transport.accepted.map(({ record }) => record);
  const paid = new Set(sent.filter(({ topic }) => topic === orderPaid.name).map(({ key }) => key));
  expect(paid.size, "its message was sent, and no other").toBe(1);
  expect([...paid][0]).toContain(told.transactionId);
  const freed = sent.filter(({ topic }) => topic === seatFreed.name);
  expect(freed.some(({ transactionId }) => transactionId === told.transactionId)).toBe(false);
  if (isBarrier(w)) expect(await w.main.reader.counts("https://shop.example.com/")).toMatchObject({ unsettled: 0 });

  // Whatever came between: the same request is answered the same way from now on, and is not done again.
  const again = await ask(w, sound);
  expect(again).toMatchObject({ transactionId: told.transactionId });
  expect(effects(w)).toHaveLength(orders.length);
}
