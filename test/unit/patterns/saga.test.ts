import { describe, expect, test } from "vitest";
import { AftercommitError } from "aftercommit";
import type { Transaction } from "aftercommit";
import { memoryDatabase } from "aftercommit/memory";
import type { MemorySql } from "aftercommit/memory";
import { RefusedError, stepRoutes } from "../../../src/patterns/index.ts";
import type { Branch } from "../../../src/patterns/index.ts";
import { DEADLINE, memoryWorld, SOURCE, steps as stepsOf, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld, Step } from "../../support/barrier-world.ts";
import { faulty, intercepted, settled, world } from "../../support/world.ts";
import { travelOf } from "./saga-world.ts";
import type { Travel } from "./saga-world.ts";
import { steps } from "./saga-world.ts";

const TRIP = { trip: "t-1" };
const DONE = ["flight do", "hotel do", "car do"];
const UNDONE = ["car compensate", "hotel compensate", "flight compensate"];

async function recovered(w: BarrierWorld, t: Travel): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await w.age(DEADLINE);
    const service = t.mount(w.service(t.options));
    await service.ac.operator().sweep({ audit: true });
    await t.deliver(service);
  }
}

async function travel(tx: Transaction): Promise<void> {
  await tx.step(steps.flight, TRIP);
  await tx.step(steps.hotel, TRIP);
  await tx.step(steps.car, TRIP);
}

function shopOf(w: BarrierWorld, t: Travel, handler: (tx: Transaction) => Promise<unknown>, options = t.options) {
  return w.shop(async (c) => {
    await handler(c.var.tx);
    return c.json({}, 201);
  }, options);
}

describe.each(WORLDS)("a saga in a request, decided by a database (%s)", (_name, make) => {
  const setup = () => {
    const w = make();
    return { w, t: travelOf(w) };
  };

  test("that commits compensates nothing", async () => {
    const { w, t } = setup();
    const shop = shopOf(w, t, async (tx) => {
      await travel(tx);
      await w.work(tx, ["trip"]);
    });
    expect((await shop.ordered()).status).toBe(201);
    await t.deliver();
    expect(t.effects).toEqual(DONE);
    expect(w.sent()).toEqual([]);
  });

  test("that rolls back compensates its steps in reverse order, each when the one before it is done", async () => {
    const { w, t } = setup();
    const shop = shopOf(w, t, async (tx) => {
      await travel(tx);
      await w.work(tx, ["trip"], () => Promise.reject(new Error("no")));
    });
    expect((await shop.ordered()).status).toBe(500);
    // One message, and not three.
    expect(w.sent()).toEqual(["aftercommit.compensation"]);
    const sentBy: number[] = [];
    t.hook = (what) => {
      if (what.endsWith("compensate")) sentBy.push(w.sent().length);
    };
    await t.deliver();
    expect(t.effects).toEqual([...DONE, ...UNDONE]);
    expect(sentBy).toEqual([1, 2, 3]);
  });

  test("whose process dies between two steps is compensated by a sweep, as far as it came", async () => {
    const { w, t } = setup();
    const shop = shopOf(w, t, async (tx) => {
      await tx.step(steps.flight, TRIP);
      await tx.step(steps.hotel, TRIP);
      return new Promise(() => undefined);
    });
    void shop.order();
    while (t.effects.length < 2) await settled();
    await recovered(w, t);
    expect(t.effects).toEqual(["flight do", "hotel do", "hotel compensate", "flight compensate"]);
  });

  test("whose step is refused, caught and replaced compensates that one alone where it commits", async () => {
    const { w, t } = setup();
    t.hook = (what) => {
      if (what === "hotel do") throw new RefusedError("full");
    };
    const shop = shopOf(w, t, async (tx) => {
      await tx.step(steps.flight, TRIP);
      await tx.step(steps.hotel, TRIP).catch(() => tx.step(steps.car, TRIP));
      await w.work(tx, ["trip"]);
    });
    expect((await shop.ordered()).status).toBe(201);
    await t.deliver();
    expect(t.effects.filter((effect) => !effect.startsWith("hotel"))).toEqual(["flight do", "car do"]);
    expect(t.calls.filter((url) => url.endsWith("/compensate"))).toEqual([expect.stringContaining("/steps/hotel/")]);
  });

  test("whose steps run at once has all of them compensated, one after the other", async () => {
    const { w, t } = setup();
    const shop = shopOf(w, t, async (tx) => {
      await Promise.all([tx.step(steps.flight, TRIP), tx.step(steps.hotel, TRIP), tx.step(steps.car, TRIP)]);
      throw new Error("no");
    });
    await shop.ordered();
    await t.deliver();
    expect(w.sent()).toHaveLength(3);
    expect([...t.effects].sort()).toEqual([...DONE, ...UNDONE].sort());
  });

  test("whose compensation gets no answer is stuck visibly, and goes on when it is redriven", async () => {
    const { w, t } = setup();
    const shop = shopOf(w, t, async (tx) => {
      await travel(tx);
      throw new Error("no");
    });
    t.mount(shop);
    await shop.ordered();
    t.line = async (pass, url) => (url.includes("/hotel/compensate") ? new Response("", { status: 503 }) : pass());
    await t.deliver(shop);
    expect(t.effects).toEqual([...DONE, "car compensate"]);
    const operator = shop.ac.operator();
    const { items } = await operator.log.listDead();
    expect(items).toHaveLength(1);
    expect(JSON.parse(items[0]!.record.body)).toMatchObject({
      data: { steps: [{ step: "hotel" }, { step: "flight" }] },
    });
    expect(items[0]!.detail).toContain("hotel");
    t.line = (pass) => pass();
    await operator.redrive(items[0]!.record.key);
    await t.deliver(shop);
    expect(t.effects).toEqual([...DONE, ...UNDONE]);
    expect((await operator.log.listDead()).items).toEqual([]);
  });

  test("a step that comes after its own compensation is refused", async () => {
    const { w, t } = setup();
    let late: (() => Promise<Response>) | undefined;
    t.line = async (pass, url) => {
      if (!url.endsWith("/do")) return pass();
      late = pass;
      throw new TypeError("the connection was reset");
    };
    const ordered = shopOf(w, t, (tx) => tx.step(steps.flight, TRIP, { retries: 0 })).ordered();
    expect((await ordered).status).toBe(503);
    await t.deliver();
    expect((await late!()).status).toBe(409);
    expect(t.effects).toEqual([]);
  });
});

describe("a step with a database", () => {
  const setup = () => {
    const w = memoryWorld("run");
    const t = travelOf(w);
    const main = memoryDatabase({ clock: w.clock });
    const agency = w.service({
      ...t.options,
      databases: { main },
      inbox: "main",
      log: undefined,
      receiver: w.receiver,
    });
    const insert = (what: string) => (branch: Branch<unknown>) =>
      branch.run("main", (sql: MemorySql) => sql.insert(`${branch.id} ${what}`, 1));
    const handlers = { do: insert("do"), compensate: insert("compensate") };
    agency.app.route("/steps/flight", stepRoutes(agency.ac, steps.flight, handlers as never));
    t.line = async (_pass, url, init) => agency.app.request(url, init);
    const effects = () => [...main.table().keys()].map((key) => key.split(" ")[1]!).sort();
    return { w, t, agency, effects };
  };

  test("is done once, and undone once, however often both are asked for", async () => {
    const { w, t, agency, effects } = setup();
    const seen: [string, RequestInit][] = [];
    t.line = async (_pass, url, init) => {
      seen.push([url, init]);
      return agency.app.request(url, init);
    };
    const shop = shopOf(w, t, async (tx) => {
      await tx.step(steps.flight, TRIP);
      throw new Error("no");
    });
    await shop.ordered();
    expect(effects()).toEqual(["do"]);
    await t.deliver();
    expect(effects()).toEqual(["compensate", "do"]);
    expect(seen).toHaveLength(2);
    for (const [url, init] of seen) expect((await agency.app.request(url, init)).status).toBe(200);
    expect(effects()).toEqual(["compensate", "do"]);
  });

  test("that was rolled back has nothing to be undone, and is refused after its compensation", async () => {
    const { w, t, agency, effects } = setup();
    const seen: [string, RequestInit][] = [];
    t.line = async (_pass, url, init) => {
      seen.push([url, init]);
      return url.endsWith("/do") ? new Response("", { status: 500 }) : agency.app.request(url, init);
    };
    await shopOf(w, t, (tx) => tx.step(steps.flight, TRIP, { retries: 0 })).ordered();
    await t.deliver();
    expect(effects()).toEqual([]);
    expect((await agency.app.request(...seen[0]!)).status).toBe(409);
    expect(effects()).toEqual([]);
  });
});

describe("a crash at every step of a saga", () => {
  for (const way of ["run", "batch"] as const) {
    for (const edge of ["before", "after"] as const) {
      test.each([false, true])(
        `(${way}), ${edge} it: what was done is undone in reverse order, once, unless it committed (fails: %s)`,
        async (fails) => {
          // The first run is a sound one, and tells how many calls there are.
          for (let k = -1, last = 0; k <= last; k++) {
            const w = memoryWorld(way);
            const t = travelOf(w);
            let dead = false;
            let calls = 0;
            const act: Step = async (call, _called) => {
              const at = calls++;
              if (dead || (at === k && edge === "before")) {
                dead = true;
                return new Promise(() => undefined);
              }
              const result = await call();
              if (at === k) dead = true;
              return dead ? new Promise(() => undefined) : result;
            };
            t.line = (pass) => act(pass, "call", 0) as Promise<Response>;
            const clock = { now: w.clock.now, sleep: () => new Promise<never>(() => undefined) };
            const through = stepsOf(w, act);
            const shop = shopOf(
              w,
              t,
              async (tx) => {
                await travel(tx);
                if (fails) throw new Error("no");
                await w.work(tx, ["trip"]);
              },
              { ...t.options, ...through, clock },
            );
            let over = false;
            const isOver = () => dead || over;
            void shop.ordered().then(() => (over = true));
            while (!isOver()) await settled();
            await settled();
            if (k === -1) {
              last = calls - 1;
              expect(last).toBeGreaterThan(8);
            }
            w.dieOpen();
            t.line = (pass) => pass();
            await recovered(w, t);
            const done = t.effects.filter((effect) => effect.endsWith(" do")).map((effect) => effect.split(" ")[0]);
            const undone = t.effects
              .filter((effect) => effect.endsWith(" compensate"))
              .map((effect) => effect.split(" ")[0]);
            const committed = w.keys().length > 0;
            expect(undone, `call ${k}`).toEqual(committed ? [] : [...done].reverse());
            const counts = await w.database.reader.counts(SOURCE);
            expect([counts.unsettled, counts.dead], `call ${k}`).toEqual([0, 0]);
          }
        },
      );
    }
  }

  for (const edge of ["before", "after"] as const) {
    test(`of its compensations, ${edge} it: they go on in another process, in their order, none of them lost`, async () => {
      for (let k = -1, last = 0; k <= last; k++) {
        const w = world();
        const t = travelOf(w);
        const service = w.service(t.options);
        service.app.post("/orders", service.ac.transaction(), async (c) => {
          await travel(c.var.tx);
          return c.json({}, 500);
        });
        await service.app.request("/orders", { method: "POST" });
        await service.ac.drain();
        // A process that ends at one of its calls, whichever message it is at.
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
        // No timer of it ends; what waits for one no more goes on.
        const sleep = (_millis: number, signal?: AbortSignal) =>
          new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
        const clock = { now: w.clock.now, sleep };
        const dying = t.mount(
          w.service({
            ...t.options,
            log: intercepted(w.store, (call) => reach(call)),
            transport: { ...w.transport, publish: (dispatches) => reach(() => w.transport.publish(dispatches)) },
            clock,
          }),
        );
        t.line = (pass) => reach(pass);
        for (let batch = w.transport.take(); batch.length > 0 && !isDead(); batch = w.transport.take()) {
          for (const { record, body } of batch) {
            let over = false;
            const isOver = () => dead || over;
            void w
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
        t.line = (pass) => pass();
        const alive = t.mount(w.service(t.options));
        for (let round = 0; round < 6; round++) {
          await w.clock.advance(61_000);
          await alive.ac.operator().sweep();
          for (const { record, body } of w.transport.accepted) {
            await w.post(alive.app, record.destination, body, { meta: record.meta, attempt: 2 });
            await alive.ac.drain();
          }
        }
        const undone = t.effects.filter((effect) => effect.endsWith("compensate"));
        // Without a database an effect may happen again, and its order with it; first times are in order.
        expect([...new Set(undone)], `call ${k}`).toEqual(UNDONE);
      }
    }, 120_000);
  }
});

describe("a saga decided by the log", () => {
  const setup = (handler: (tx: Transaction) => Promise<unknown>, check?: "committed" | "rolledBack") => {
    const w = world();
    const t = travelOf(w);
    let down: (name: string) => boolean = () => false;
    const log = faulty(w.store, (name) => (down(name) ? "unreachable" : "none"));
    const service = t.mount(w.service({ ...t.options, log, checks: { trips: () => check ?? "unknown" } }));
    service.app.onError((error) =>
      AftercommitError.is(error) ? error.getResponse() : new Response("failed", { status: 500 }),
    );
    service.app.post("/orders", service.ac.transaction(check === undefined ? {} : { check: "trips" }), async (c) => {
      await handler(c.var.tx);
      return c.json({}, 201);
    });
    return {
      w,
      t,
      cut: (which: (name: string) => boolean) => {
        down = which;
      },
      sent: () => w.transport.accepted.length,
      async order() {
        const response = await service.app.request("/orders", { method: "POST" });
        await service.ac.drain();
        return response.status;
      },
      deliver: () => t.deliver(service),
    };
  };

  test("sends one chain where it fails, and nothing where it succeeds", async () => {
    let fails = false;
    const { t, order, sent, deliver } = setup(async (tx) => {
      await travel(tx);
      if (fails) throw new Error("no");
    });
    expect([await order(), sent()]).toEqual([201, 0]);
    fails = true;
    expect([await order(), sent()]).toEqual([500, 1]);
    t.effects.length = 0;
    await deliver();
    expect(t.effects).toEqual(UNDONE);
  });

  test("does not go on with a step whose place in the chain could not be kept, and still has one chain", async () => {
    for (const name of ["transactions.prepare", "transactions.record"]) {
      const { t, order, cut, sent, deliver } = setup(async (tx) => {
        await tx.step(steps.flight, TRIP);
        cut((called) => called === name);
        await tx.step(steps.hotel, TRIP).catch(() => undefined);
        cut(() => false);
        await tx.step(steps.car, TRIP);
        throw new Error("no");
      });
      expect(await order()).toBe(500);
      expect(t.effects).toEqual(["flight do", "car do"]);
      expect(sent()).toBe(1);
      await deliver();
      expect(t.effects).toEqual(["flight do", "car do", "car compensate", "flight compensate"]);
    }
  });

  test("is compensated where the check of a process that died says no", async () => {
    const { w, t, order, deliver } = setup(async (tx) => {
      await tx.step(steps.flight, TRIP);
      await tx.step(steps.hotel, TRIP);
      return new Promise(() => undefined);
    }, "rolledBack");
    void order();
    while (t.effects.length < 2) await settled();
    for (let i = 0; i < 4; i++) {
      await w.clock.advance(DEADLINE);
      await w
        .service({ ...t.options, checks: { trips: () => "rolledBack" } })
        .ac.operator()
        .sweep();
    }
    await deliver();
    expect(t.effects).toEqual(["flight do", "hotel do", "hotel compensate", "flight compensate"]);
  });
});
