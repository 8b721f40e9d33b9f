import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { FatalError } from "aftercommit";
import type { AftercommitOptions } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql } from "aftercommit/memory";
import { saga, sagaStepRoutes } from "../../../src/patterns/index.ts";
import type { SagaMessage } from "../../../src/patterns/index.ts";
import { intercepted, PUBLIC_URL, settled, world } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";

const trip = saga("trip", { schema: z.object({ city: z.string() }), steps: ["flight", "hotel", "car"] });
type Kind = "plain" | "run" | "batch";
const KINDS: readonly Kind[] = ["plain", "run", "batch"];

interface LongSaga {
  readonly w: World;
  readonly main: MemoryDatabase;
  /** What is done, as the database has it; without one in its order. */
  effects(): readonly string[];
  /** In the order in which it was begun. */
  readonly order: string[];
  hook: (what: string, message: SagaMessage<unknown>) => unknown;
  service(overrides?: Partial<AftercommitOptions>): ServiceUnderTest;
  /** Starts it, by a transaction that commits. */
  start(): Promise<void>;
  deliver(): Promise<void>;
  sent(): readonly string[];
}

function longSaga(kind: Kind): LongSaga {
  const w = world();
  const main = memoryDatabase({ clock: w.clock });
  const order: string[] = [];
  const done: string[] = [];
  const made = { hook: (() => undefined) as LongSaga["hook"] };
  const { run, batch, ...rest } = main;
  const database = kind === "run" ? { ...rest, run } : { ...rest, batch };
  const base = (name: string) => `${PUBLIC_URL}/sagas/${name}`;
  const routes = {
    ...trip.routes({ flight: base("flight"), hotel: base("hotel"), car: base("car") }),
    [trip.completed.name]: "https://elsewhere.example.net/completed",
    [trip.failed.name]: "https://elsewhere.example.net/failed",
  };
  const service: LongSaga["service"] = (overrides = {}) => {
    const made2 = w.service({
      routes,
      ...(kind === "plain" ? {} : { databases: { main: database }, inbox: "main" }),
      ...overrides,
    });
    for (const name of trip.steps) {
      const handler = (verb: string) => async (message: SagaMessage<unknown>) => {
        const what = `${name} ${verb}`;
        order.push(what);
        const insert = async (sql: unknown) => {
          await (sql as MemorySql).insert(`${message.saga} ${what}`, 1);
          await made.hook(what, message);
          return { by: name };
        };
        if (kind === "run") return message.run("main", insert);
        if (kind === "batch") return message.batch("main", [insert]);
        await made.hook(what, message);
        done.push(`${message.saga} ${what}`);
        return { by: name };
      };
      made2.app.route(
        `/sagas/${name}`,
        sagaStepRoutes(made2.ac, trip, name, { do: handler("do"), undo: handler("undo") }),
      );
    }
    return made2;
  };
  return {
    w,
    main,
    order,
    effects: () =>
      (kind === "plain" ? done : [...main.table().keys()]).map((text) => text.slice(text.indexOf(" ") + 1)),
    get hook() {
      return made.hook;
    },
    set hook(hook) {
      made.hook = hook;
    },
    service,
    async start() {
      const { ac, app } = w.service({ routes });
      app.post("/trips", ac.transaction(), async (c) => {
        await c.var.tx.publish(trip.start, { city: "Rome" });
        return c.json({}, 202);
      });
      await app.request("/trips", { method: "POST" });
      await ac.drain();
    },
    async deliver() {
      const target = service();
      for (let round = 0; round < 12; round++) {
        await w.deliver(target.app, { retries: 5 });
        await target.ac.drain();
      }
    },
    sent: () => w.transport.accepted.map(({ record }) => record.topic),
  };
}

describe.each(KINDS)("a saga of messages (%s)", (kind) => {
  test("does its steps one after the other, and tells when it is complete", async () => {
    const s = longSaga(kind);
    const seen: unknown[] = [];
    s.hook = (what, { data, results }) => seen.push([what, data, results]);
    await s.start();
    await s.deliver();
    expect(s.effects()).toEqual(["flight do", "hotel do", "car do"]);
    expect(s.sent()).toEqual(["trip.start", "trip.hotel.do", "trip.car.do", "trip.completed"]);
    const by = (name: string) => (kind === "batch" ? null : { by: name });
    expect(seen[2]).toEqual(["car do", { city: "Rome" }, { flight: by("flight"), hotel: by("hotel") }]);
  });

  test("whose step fails for good undoes those before it in reverse order, and tells that it failed", async () => {
    const s = longSaga(kind);
    s.hook = (what) => {
      if (what === "car do") throw new FatalError("no car");
    };
    await s.start();
    await s.deliver();
    expect([...s.effects()].sort()).toEqual(["flight do", "flight undo", "hotel do", "hotel undo"]);
    expect(s.order).toEqual(["flight do", "hotel do", "car do", "hotel undo", "flight undo"]);
    expect(s.sent().slice(3)).toEqual(["trip.hotel.undo", "trip.flight.undo", "trip.failed"]);
    const last = JSON.parse(s.w.transport.accepted.at(-1)!.body) as { data: unknown };
    expect(last.data).toMatchObject({ failed: { step: "car", reason: "no car" } });
  });

  test("whose first step fails for good has nothing to undo, and tells that it failed", async () => {
    const s = longSaga(kind);
    s.hook = () => {
      throw new FatalError("no flight");
    };
    await s.start();
    await s.deliver();
    expect([s.effects(), s.sent()]).toEqual([[], ["trip.start", "trip.failed"]]);
  });

  test("whose step uses up its retries is undone; without a database that step as well", async () => {
    const s = longSaga(kind);
    s.hook = (what) => {
      if (what === "hotel do") throw new Error("down");
    };
    await s.start();
    await s.deliver();
    expect(s.order.filter((what) => what === "hotel do")).toHaveLength(6);
    const undone = s.order.filter((what) => what.endsWith("undo"));
    expect(undone).toEqual(kind === "plain" ? ["hotel undo", "flight undo"] : ["flight undo"]);
    expect(s.sent().at(-1)).toBe("trip.failed");
  });

  test("whose step fails a few times goes on", async () => {
    const s = longSaga(kind);
    let failures = 3;
    s.hook = (what) => {
      if (what === "hotel do" && failures-- > 0) throw new Error("down");
    };
    await s.start();
    await s.deliver();
    expect(s.effects()).toEqual(["flight do", "hotel do", "car do"]);
    expect(s.sent().at(-1)).toBe("trip.completed");
  });

  test("that cannot be undone is a dead letter, which goes on where it is redriven", async () => {
    const s = longSaga(kind);
    let broken = true;
    s.hook = (what) => {
      if (what === "car do") throw new FatalError("no car");
      if (what === "hotel undo" && broken) throw new Error("down");
    };
    await s.start();
    await s.deliver();
    const { ac } = s.service();
    const { items } = await ac.operator().log.listDead();
    expect(items.map(({ record }) => record.topic)).toEqual(["trip.hotel.undo"]);
    broken = false;
    await ac.operator().redrive(items[0]!.record.key);
    await s.deliver();
    expect([...s.effects()].sort()).toEqual(["flight do", "flight undo", "hotel do", "hotel undo"]);
  });

  test("each of whose messages comes twice does nothing twice", async () => {
    const s = longSaga(kind);
    s.hook = (what) => {
      if (what === "car do") throw new FatalError("no car");
    };
    await s.start();
    await s.deliver();
    const before = [...s.effects()];
    const sent = s.sent().length;
    const { app } = s.service();
    for (const { record, body } of s.w.transport.accepted.slice())
      if (record.destination.startsWith(PUBLIC_URL)) await s.w.post(app, record.destination, body, { attempt: 2 });
    expect([s.effects(), s.sent().length]).toEqual([before, sent]);
  });

  for (const fails of [false, true]) {
    for (const edge of ["before", "after"] as const) {
      test(`comes to its end whatever crashes, ${edge} each call: ${fails ? "undone in reverse order" : "complete"}`, async () => {
        for (let k = -1, last = 0; k <= last; k++) {
          const s = longSaga(kind);
          s.hook = (what) => {
            if (fails && what === "car do") throw new FatalError("no car");
          };
          await s.start();
          let dead = false;
          const isDead = () => dead;
          let calls = 0;
          const reach = async <T>(call: () => Promise<T>): Promise<T> => {
            const at = calls++;
            if (dead || (at === k && edge === "before")) {
              dead = true;
              return new Promise<never>(() => undefined);
            }
            const result = await call();
            if (at === k) dead = true;
            return dead ? new Promise<never>(() => undefined) : result;
          };
          const sleep = (_millis: number, signal?: AbortSignal) =>
            new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
          const { run, batch, write, inbox, ...rest } = s.main;
          const wrapped = {
            ...rest,
            inbox: Object.fromEntries(
              Object.entries(inbox).map(([name, call]: [string, (...args: never[]) => Promise<unknown>]) => [
                name,
                (...args: never[]) => reach(() => call(...args)),
              ]),
            ) as unknown as typeof inbox,
            write: (riders: never) => reach(() => write(riders)),
            ...(kind === "run"
              ? { run: (work: never, options: never) => reach(() => run(work, options)) }
              : { batch: (statements: never, riders: never) => reach(() => batch(statements, riders)) }),
          };
          const dying = s.service({
            ...(kind === "plain"
              ? { log: intercepted(s.w.store, (call) => reach(call)) }
              : { databases: { main: wrapped as never } }),
            transport: { ...s.w.transport, publish: (dispatches) => reach(() => s.w.transport.publish(dispatches)) },
            clock: { now: s.w.clock.now, sleep },
          });
          for (let batches = s.w.transport.take(); batches.length > 0 && !isDead(); batches = s.w.transport.take()) {
            for (const { record, body } of batches) {
              if (!record.destination.startsWith(PUBLIC_URL)) continue;
              let over = false;
              const isOver = () => dead || over;
              void s.w
                .post(dying.app, record.destination, body, { meta: record.meta })
                .then(() => dying.ac.drain())
                .then(() => (over = true));
              while (!isOver()) await settled();
              await settled();
            }
          }
          if (k === -1) {
            last = calls - 1;
            expect(last).toBeGreaterThan(8);
          }
          s.main.restore(s.main.snapshot());
          const alive = s.service();
          for (let round = 0; round < 8; round++) {
            await s.w.clock.advance(61_000);
            await alive.ac.operator().sweep({ audit: true });
            for (const { record, body } of s.w.transport.accepted.slice()) {
              if (!record.destination.startsWith(PUBLIC_URL)) continue;
              await s.w.post(alive.app, record.destination, body, { meta: record.meta, attempt: 2 });
              await alive.ac.drain();
            }
          }
          const expected = fails
            ? ["flight do", "hotel do", "hotel undo", "flight undo"]
            : ["flight do", "hotel do", "car do"];
          const once = [...new Set(s.effects())];
          expect(kind === "plain" ? once : [...once].sort(), `call ${k}`).toEqual(
            kind === "plain" ? expected : [...expected].sort(),
          );
          if (kind !== "plain") expect(s.effects()).toHaveLength(once.length);
          const order = [...new Set(s.order)].filter((what) => what !== "car do");
          expect(order, `call ${k}`).toEqual(expected.filter((what) => what !== "car do"));
        }
      }, 120_000);
    }
  }
});

test("a saga needs steps of different names", () => {
  const schema = z.string();
  for (const steps of [[], ["a", "a"], ["a b"]])
    expect(() => saga("s", { schema, steps: steps as never })).toThrow(
      expect.objectContaining({ code: "ERR_CONFIGURATION" }),
    );
});
