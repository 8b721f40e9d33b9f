import { array, asyncProperty, boolean, nat, record, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { idempotencyKey } from "aftercommit/idempotency";
import { memoryDatabase, memoryStore } from "aftercommit/memory";
import type { MemorySql } from "aftercommit/memory";
import { orderPaid, world } from "../../support/world.ts";
import { steps } from "../../support/barrier-world.ts";
import { DEFAULT_START } from "../../../src/testing/index.ts";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import type { Inbox, InboxReader } from "../../../src/ports/inbox.ts";
import { alwaysHolds, holds, isCaught, race, turn } from "../../races/race.ts";
import { KEY } from "./keyed-shop.ts";

/** Several processes are asked the same at once, while time passes, and replies are lost. */

const PAST_LEASE = 31_000;
const ASKED = 3;

const one = "one effect a key";
const told = "whoever is told that it was done is told which transaction did it";
const sent = "one message, of the transaction whose effect is there";

const plans = record({
  /** How often the leases of all lapse. */
  lapses: nat(2),
  callers: array(record({ loses: nat(14), fails: boolean() }), { minLength: 2, maxLength: 3 }),
});
type Plan = typeof plans extends { generate: (...args: never[]) => { value: infer Value } } ? Value : never;
type AnyInbox = Inbox & InboxReader;

interface Wrong {
  readonly database?: (inner: AnyDatabase) => AnyDatabase;
  readonly inbox?: (inner: AnyInbox, s: Scheduler) => AnyInbox;
}

async function requests(s: Scheduler, plan: Plan, level: "checked" | "barrier", wrong: Wrong = {}): Promise<void> {
  let now = DEFAULT_START;
  const clock = {
    now: () => now,
    // Nothing wakes by itself: no lease is renewed, so that the passing of time is the worst there is.
    sleep: (_millis: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true })),
  };
  const base = world();
  const memory = memoryStore({ clock });
  const store = { ...memory, inbox: { ...memory.inbox, ...wrong.inbox?.(memory.inbox, s) } };
  const right = memoryDatabase({ clock });
  const { batch: _, ...interactive } = right;
  const found: AnyDatabase = { ...interactive, inbox: { ...right.inbox, ...wrong.inbox?.(right.inbox, s) } };
  const database = wrong.database?.(found) ?? found;
  const written: string[] = [];
  const effects = () => [...written, ...right.table().values()].map(String);
  const answers: { readonly status: number; readonly code?: string; readonly transactionId?: string }[] = [];

  const caller = async (number: number): Promise<void> => {
    const { loses, fails } = plan.callers[number]!;
    const step = async (call: () => Promise<unknown>, name: string, at: number): Promise<unknown> => {
      await turn(s, `caller ${number} calls ${name}`);
      const value = await call();
      await turn(s, `caller ${number} hears of ${name}`);
      if (at === loses && name !== "unit.commit") throw new Error(`the reply of ${name} was lost`);
      return value;
    };
    const through = steps({ ...base, store, database } as never, step);
    const { ac, app } = base.service({
      ...through,
      clock,
      log: level === "barrier" ? undefined : through.log,
      databases: level === "barrier" ? through.databases : {},
      checks: { order: async (id) => (written.includes(id) ? "committed" : "rolledBack") },
    });
    app.onError((_error, c) => c.json({}, 500));
    const at = level === "barrier" ? { database: "main" } : { check: "order" };
    let runs = 0;
    app.post("/orders", idempotencyKey(ac, { scope: () => "anna", required: true, ...at }), async (c) => {
      const { tx } = c.var;
      await tx.publish(orderPaid, { orderId: tx.id });
      await turn(s, `caller ${number} works`);
      if (fails && ++runs === 1) return c.json({}, 500);
      if (level === "checked") written.push(tx.id);
      else await tx.run("main", (sql: unknown) => (sql as MemorySql).insert(`order ${tx.id}`, tx.id));
      return c.json({ transactionId: tx.id }, 201);
    });
    for (let i = 0; i < ASKED; i++) {
      const init = { method: "POST", headers: { "idempotency-key": KEY }, body: "one order" };
      const response = await app.request("/orders", init);
      const answer = { ...((await response.json()) as object), status: response.status };
      answers.push(answer);
      await ac.drain();
      if (answer.status === 201) return;
    }
  };
  const time = async (): Promise<void> => {
    for (let i = 0; i < plan.lapses; i++) {
      await turn(s, "leases lapse");
      now += PAST_LEASE;
    }
  };
  await race(s, time(), ...plan.callers.map((_, number) => caller(number)));

  holds(effects().length <= 1, `${one}: ${effects().join(", ")}`);
  for (const { status, code, transactionId } of answers) {
    if (status === 201 || code === "answer-not-kept") holds(effects()[0] === transactionId, told);
  }
  const keys = new Set(base.transport.accepted.map(({ record }) => record.key));
  holds(keys.size <= 1, sent);
  for (const { record } of base.transport.accepted) holds(effects()[0] === record.transactionId, sent);
}

describe("several requests with one key at once", () => {
  test(`in a memory database, while leases lapse: ${one}; ${told}; ${sent}`, { timeout: 240_000 }, () =>
    alwaysHolds(
      asyncProperty(scheduler(), plans, (s, plan) => requests(s, plan, "barrier")),
      400,
    ),
  );

  test(`in a memory store, while leases hold: ${one}; ${told}; ${sent}`, { timeout: 240_000 }, () =>
    alwaysHolds(
      asyncProperty(scheduler(), plans, (s, plan) => requests(s, { ...plan, lapses: 0 }, "checked")),
      400,
    ),
  );
});

describe("an order is found in which a mistake shows", () => {
  test("of a revocation that is not written", { timeout: 240_000 }, () =>
    isCaught(
      asyncProperty(scheduler(), plans, (s, plan) =>
        requests(s, plan, "barrier", {
          database: (inner) => ({
            ...inner,
            barrier: {
              ...inner.barrier,
              intend: async () => true,
              async rollBack(transactionId, at) {
                const entry = (await inner.barrier.find([transactionId])).get(transactionId);
                if (entry?.state === "decided") return entry.row;
                const row = {
                  transactionId,
                  decidedAt: at,
                  source: "",
                  records: [],
                  results: {},
                  attempts: 0,
                  version: 0,
                };
                return { ...row, verdict: "rolledBack" as const, settled: false };
              },
            },
          }),
        }),
      ),
      new RegExp(one),
    ),
  );

  test("of an inbox that looks, and claims after that, without a database", { timeout: 240_000 }, () =>
    isCaught(
      asyncProperty(scheduler(), plans, (s, plan) =>
        requests(s, { ...plan, lapses: 0 }, "checked", {
          inbox: (inner, s) => ({
            ...inner,
            async claim(claim, millis) {
              const found = await inner.look(claim);
              await turn(s, "the inbox waits");
              if (found.state !== "new") return inner.claim(claim, millis);
              await inner.claim(claim, millis);
              return { state: "claimed" };
            },
          }),
        }),
      ),
      new RegExp(`${one}|${told}|${sent}`),
    ),
  );
});
