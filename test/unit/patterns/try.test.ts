import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { AftercommitError, UnavailableError } from "aftercommit";
import type { Transaction } from "aftercommit";
import { directCalls, participant, ParticipantUnavailableError, RefusedError } from "../../../src/patterns/index.ts";
import { DEADLINE, memoryWorld, SOURCE, steps, WORLDS } from "../../support/barrier-world.ts";
import type { BarrierWorld, MemoryWorld, Step } from "../../support/barrier-world.ts";
import { faulty, orderPaid, PUBLIC_URL, settled, world } from "../../support/world.ts";
import type { App, RouteHandler, World } from "../../support/world.ts";
import { backorder, participantsOf, stock } from "./participants-world.ts";
import type { Participants } from "./participants-world.ts";

/** Sweeps until nothing is left, and delivers all of it. */
async function recovered(w: BarrierWorld, p: Participants): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await w.age(DEADLINE);
    await w.service(p.options).ac.operator().sweep({ audit: true });
    await p.deliver();
  }
}

/** Lets time pass until a promise is settled. */
async function passing<T>(w: BarrierWorld, promise: Promise<T>, millis = 1_100): Promise<T> {
  let over = false;
  void promise.finally(() => (over = true));
  for (const isOver = () => over; !isOver(); await settled()) await w.clock.advance(millis);
  return promise;
}

/** A request that reserves, then commits an order; `fails` where its SQL is to be rolled back. */
function ordering(w: BarrierWorld, fails = false): RouteHandler {
  return async (c) => {
    const { tx } = c.var;
    await tx.try(stock, { sku: "a" });
    await w.work(tx, ["order"], () => {
      if (fails) throw new Error("no");
    });
    return c.json({}, 201);
  };
}

describe.each(WORLDS)("tx.try, decided by a database (%s)", (_name, make) => {
  const setup = () => {
    const w = make();
    return { w, p: participantsOf(w) };
  };

  test("a commit confirms what was tried, and cancels nothing", async () => {
    const { w, p } = setup();
    expect((await w.shop(ordering(w), p.options).ordered()).status).toBe(201);
    await p.deliver();
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve confirm"]);
    expect(w.sent()).toEqual(["stock.reserve.confirm"]);
  });

  test("a rollback cancels it, and confirms nothing", async () => {
    const { w, p } = setup();
    expect((await w.shop(ordering(w, true), p.options).ordered()).status).toBe(500);
    await p.deliver();
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve cancel"]);
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("a request that dies after its try leaves a cancel, which a sweep sends", async () => {
    const { w, p } = setup();
    const shop = w.shop(async (c) => {
      await c.var.tx.try(stock, { sku: "a" });
      return new Promise<Response>(() => undefined);
    }, p.options);
    void shop.order();
    while (p.effects.length === 0) await settled();
    await recovered(w, p);
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve cancel"]);
  });

  test("what cancels it is kept before it is called", async () => {
    const { w, p } = setup();
    const seen: unknown[] = [];
    p.hook = async (what, branch) => {
      if (what !== "stock.reserve try") return;
      const found = await w.found(branch.transactionId);
      seen.push(found?.state, found?.state === "intended" && found.records.map(({ topic, on }) => [topic, on]));
    };
    await w.shop(ordering(w), p.options).ordered();
    expect(seen).toEqual(["intended", [["stock.reserve.cancel", "rollback"]]]);
  });

  test("resolves to what the participant's try came to", async () => {
    const { w, p } = setup();
    let result: { shelf: string } | undefined;
    await w
      .shop(async (c) => {
        result = await c.var.tx.try(stock, { sku: "a" });
        await w.work(c.var.tx, ["order"]);
        return c.json({});
      }, p.options)
      .ordered();
    expect(result).toEqual({ shelf: "b-4" });
  });

  test("a refusal is a typed error; where it goes through, the transaction is rolled back and the branch cancelled", async () => {
    const { w, p } = setup();
    p.hook = (what) => {
      if (what === "stock.reserve try") throw new RefusedError("out of stock");
    };
    let error: unknown;
    const response = await w
      .shop(async (c) => {
        await c.var.tx.try(stock, { sku: "a" }).catch((caught: unknown) => {
          error = caught;
          throw caught;
        });
        return c.json({});
      }, p.options)
      .ordered();
    expect(response.status).toBe(409);
    expect(RefusedError.is(error) && [error.code, error.reason, error.participant, error.branchId]).toEqual([
      "ERR_REFUSED",
      "out of stock",
      "stock.reserve",
      expect.stringMatching(/^[0-9a-f-]{36}_0$/),
    ]);
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
    // It is called once: a refusal is an answer.
    expect(p.calls).toHaveLength(1);
  });

  test("where it is caught and another participant takes its place, a commit cancels the first and confirms the second", async () => {
    const { w, p } = setup();
    p.hook = (what) => {
      if (what === "stock.reserve try") throw new RefusedError("out of stock");
    };
    const shop = w.shop(async (c) => {
      const { tx } = c.var;
      await tx.try(stock, { sku: "a" }).catch(() => tx.try(backorder, { sku: "a" }));
      await w.work(tx, ["order"]);
      return c.json({}, 201);
    }, p.options);
    expect((await shop.ordered()).status).toBe(201);
    expect([...w.sent()].sort()).toEqual(["backorder.place.confirm", "stock.reserve.cancel"]);
    await p.deliver();
    expect(p.effects).toContain("backorder.place confirm");
  });

  test("where it is caught and nothing is committed, a rollback cancels both, and a success is no error", async () => {
    const { w, p } = setup();
    p.hook = (what) => {
      if (what.endsWith("try")) throw new RefusedError("none");
    };
    const shop = w.shop(async (c) => {
      const { tx } = c.var;
      await tx.try(stock, { sku: "a" }).catch(() => tx.try(backorder, { sku: "a" }).catch(() => undefined));
      return c.json({ sold: false }, 200);
    }, p.options);
    expect((await shop.ordered()).status).toBe(200);
    expect([...w.sent()].sort()).toEqual(["backorder.place.cancel", "stock.reserve.cancel"]);
  });

  test("a success that forgot to commit what it tried is an error, and cancels it", async () => {
    const { w, p } = setup();
    const shop = w.shop(async (c) => {
      await c.var.tx.try(stock, { sku: "a" });
      return c.json({});
    }, p.options);
    const response = await shop.ordered();
    expect([response.status, await response.json()]).toMatchObject([500, { error: { code: "ERR_NOT_COMMITTED" } }]);
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("an answer that is lost is asked for again, for the same branch: it is tried once, and confirmed", async () => {
    const { w, p } = setup();
    let losses = 2;
    p.line = async (pass) => {
      const response = await pass();
      if (losses-- > 0) throw new TypeError("the connection was reset");
      return response;
    };
    const ordered = w.shop(ordering(w), p.options).ordered();
    expect((await passing(w, ordered)).status).toBe(201);
    expect(p.calls).toHaveLength(3);
    await p.deliver();
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve confirm"]);
  });

  test("where no answer comes at all it is not known, and cancelled whatever is decided", async () => {
    const { w, p } = setup();
    p.line = async (pass) => {
      await pass();
      throw new TypeError("the connection was reset");
    };
    let error: unknown;
    const ordered = w
      .shop(async (c) => {
        await c.var.tx.try(stock, { sku: "a" }, { retries: 1 }).catch((caught: unknown) => (error = caught));
        await w.work(c.var.tx, ["order"]);
        return c.json({}, 201);
      }, p.options)
      .ordered();
    expect((await passing(w, ordered)).status).toBe(201);
    expect(ParticipantUnavailableError.is(error) && [error.retryable, error.getResponse().status]).toEqual([true, 503]);
    await p.deliver();
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve cancel"]);
  });

  test("a participant that does not answer in time is given up, and its call ended", async () => {
    const { w, p } = setup();
    let aborted = 0;
    p.line = (_pass, _url, { signal }) =>
      new Promise((_, reject) =>
        signal!.addEventListener("abort", () => {
          aborted++;
          reject(new Error("aborted"));
        }),
      );
    const ordered = w
      .shop(async (c) => {
        await c.var.tx.try(stock, { sku: "a" }, { timeout: "1s", retries: 1 });
        return c.json({});
      }, p.options)
      .ordered();
    expect((await passing(w, ordered)).status).toBe(503);
    expect(aborted).toBe(2);
  });

  test("a try that nobody waits for is cancelled when the request ends", async () => {
    const { w, p } = setup();
    p.line = () => new Promise(() => undefined);
    const shop = w.shop(async (c) => {
      void c.var.tx.try(stock, { sku: "a" }).catch(() => undefined);
      await settled();
      return c.json({});
    }, p.options);
    expect((await shop.ordered()).status).toBe(200);
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("a commit waits for a try that is under way", async () => {
    const { w, p } = setup();
    p.hook = settled;
    const shop = w.shop(async (c) => {
      const { tx } = c.var;
      await Promise.all([tx.try(stock, { sku: "a" }), w.work(tx, ["order"])]);
      return c.json({}, 201);
    }, p.options);
    expect((await shop.ordered()).status).toBe(201);
    expect(w.sent()).toEqual(["stock.reserve.confirm"]);
  });

  test("a request slower than its deadline is rolled back: its late commit is refused, and the branch cancelled", async () => {
    const { w, p } = setup();
    const shop = w.shop(async (c) => {
      await c.var.tx.try(stock, { sku: "a" });
      await w.age(DEADLINE);
      await w.service(p.options).ac.operator().sweep({ audit: true });
      await w.work(c.var.tx, ["order"]);
      return c.json({}, 201);
    }, p.options);
    expect((await shop.ordered()).status).toBe(503);
    expect(w.keys()).toEqual([]);
    await p.deliver();
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve cancel"]);
  });

  test("data that the schema refuses, and a missing route, are told before anything is kept or called", async () => {
    const { w, p } = setup();
    const lost = participant("lost", { schema: z.string() });
    const codes: unknown[] = [];
    const shop = w.shop(async (c) => {
      const { tx } = c.var;
      for (const attempt of [() => tx.try(stock, { sku: 1 } as never), () => tx.try(lost, "x")])
        await attempt().catch((error: AftercommitError) => codes.push(error.code));
      return c.json({});
    }, p.options);
    await shop.ordered();
    expect(codes).toEqual(["ERR_INVALID_MESSAGE", "ERR_UNKNOWN_TOPIC"]);
    expect([p.calls, w.sent(), w.keys()]).toEqual([[], [], []]);
  });
});

describe("tx.try inside of tx.run", () => {
  test("is a typed error that says where it belongs, and calls nobody", async () => {
    const w = memoryWorld("run");
    const p = participantsOf(w);
    let error: unknown;
    const shop = w.shop(async (c) => {
      await w.work(c.var.tx, ["order"], () =>
        c.var.tx.try(stock, { sku: "a" }).catch((caught: unknown) => (error = caught)),
      );
      return c.json({}, 201);
    }, p.options);
    expect((await shop.ordered()).status).toBe(201);
    expect(AftercommitError.is(error) && [error.code, error.hint]).toEqual([
      "ERR_TRANSACTION_LEVEL",
      expect.stringContaining("Call tx.try"),
    ]);
    expect([p.calls, w.sent()]).toEqual([[], []]);
  });

  test("and after it is one too", async () => {
    const w = memoryWorld("run");
    const p = participantsOf(w);
    let error: unknown;
    const shop = w.shop(async (c) => {
      await w.work(c.var.tx, ["order"]);
      await c.var.tx.try(stock, { sku: "a" }).catch((caught: unknown) => (error = caught));
      return c.json({}, 201);
    }, p.options);
    await shop.ordered();
    expect(error).toMatchObject({ code: "ERR_TRANSACTION_DECIDED" });
    expect([p.calls, w.sent()]).toEqual([[], []]);
  });

  test("after work that was rolled back it may go on, and both branches go the way of the second run", async () => {
    const w = memoryWorld("run");
    const p = participantsOf(w);
    const shop = w.shop(async (c) => {
      const { tx } = c.var;
      await tx.try(stock, { sku: "a" });
      await w.work(tx, ["x"], () => Promise.reject(new Error("no"))).catch(() => undefined);
      await tx.try(backorder, { sku: "a" });
      await w.work(tx, ["order"]);
      return c.json({}, 201);
    }, p.options);
    expect((await shop.ordered()).status).toBe(201);
    expect([...w.sent()].sort()).toEqual(["backorder.place.confirm", "stock.reserve.confirm"]);
  });
});

describe("a database that does not keep what cancels", () => {
  for (const fault of ["unavailable", "replyLost"] as const) {
    test(`(${fault}): the participant is not called, and the branch is not part of what commits`, async () => {
      const w = memoryWorld("run");
      const p = participantsOf(w);
      let error: unknown;
      const shop = w.shop(async (c) => {
        w.main.fail(fault);
        await c.var.tx.try(stock, { sku: "a" }).catch((caught: unknown) => (error = caught));
        await w.work(c.var.tx, ["order"]);
        return c.json({}, 201);
      }, p.options);
      expect((await shop.ordered()).status).toBe(201);
      expect(UnavailableError.is(error)).toBe(true);
      expect([p.calls, w.sent()]).toEqual([[], []]);
    });
  }
});

describe("a crash at every step", () => {
  /** Every call of the database, the transport and the participant is a step; the process ends before or after one. */
  const stepped = (w: MemoryWorld, p: Participants, act: Step) => {
    const through = steps(w, act);
    let calls = 0;
    // Numbered behind the others: which of them comes first does not matter, as each of them is tried.
    p.line = (pass) => act(pass, "participant.try", 1_000 + calls++) as Promise<Response>;
    // It gets no answer, and no timer of it ends.
    const clock = { now: w.clock.now, sleep: () => new Promise<never>(() => undefined) };
    return { ...p.options, ...through, clock };
  };
  for (const way of ["run", "batch"] as const) {
    for (const fails of [false, true]) {
      for (const edge of ["before", "after"] as const) {
        test(`${edge} it, of a ${fails ? "rollback" : "commit"} by ${way}: confirmed if and only if it committed, else cancelled`, async () => {
          const sound = memoryWorld(way);
          const names: [number, string][] = [];
          await sound
            .shop(
              ordering(sound, fails),
              stepped(sound, participantsOf(sound), (call, name, at) => (names.push([at, name]), call())),
            )
            .ordered();
          expect(names.length).toBeGreaterThanOrEqual(6);
          for (const [k, name] of names) {
            const w = memoryWorld(way);
            const p = participantsOf(w);
            let dead = false;
            const act: Step = async (call, _called, at) => {
              if (dead || (at === k && edge === "before")) {
                dead = true;
                return new Promise(() => undefined);
              }
              const result = await call();
              if (at === k) dead = true;
              return dead ? new Promise(() => undefined) : result;
            };
            let over = false;
            const isOver = () => dead || over;
            void w
              .shop(ordering(w, fails), stepped(w, p, act))
              .ordered()
              .then(() => (over = true));
            while (!isOver()) await settled();
            await settled();
            w.dieOpen();
            p.line = (pass) => pass();
            await recovered(w, p);
            const committed = w.keys().length > 0;
            const tried = p.effects.includes("stock.reserve try");
            const ended = p.effects.filter((effect) => effect !== "stock.reserve try");
            if (committed) expect(tried, name).toBe(true);
            expect(ended, `${name}, ${edge}`).toEqual(
              tried ? [`stock.reserve ${committed ? "confirm" : "cancel"}`] : [],
            );
            expect((await w.database.reader.counts(SOURCE)).unsettled, name).toBe(0);
            expect((await w.database.reader.counts(SOURCE)).dead, name).toBe(0);
          }
        });
      }
    }
  }
});

describe("tx.try, decided by the log", () => {
  const setup = (
    level: "marked" | "checked",
    handler: (tx: Transaction, app: App) => Promise<unknown>,
    options: { w?: World; answer?: "committed" | "rolledBack" | "unknown"; proceed?: boolean } = {},
  ) => {
    const w = options.w ?? world();
    const p = participantsOf(w);
    let down: (name: string) => boolean = () => false;
    const log = faulty(w.store, (name) => (down(name) ? "unreachable" : "none"));
    const service = w.service({ ...p.options, log, checks: { orders: () => options.answer ?? "rolledBack" } });
    service.app.onError((error) =>
      AftercommitError.is(error) ? error.getResponse() : new Response("failed", { status: 500 }),
    );
    service.app.post(
      "/orders",
      service.ac.transaction({
        ...(level === "checked" ? { check: "orders" } : {}),
        ...(options.proceed === true ? { whenLogUnavailable: "proceed" } : {}),
      }),
      async (c) => {
        await handler(c.var.tx, service.app);
        return c.json({}, 201);
      },
    );
    const order = async (): Promise<number> => {
      const response = await service.app.request("/orders", { method: "POST" });
      await service.ac.drain();
      return response.status;
    };
    const sent = () => w.transport.accepted.map(({ record }) => record.topic);
    return {
      w,
      p,
      order,
      sent,
      service,
      cut: (which: (name: string) => boolean) => {
        down = which;
      },
    };
  };

  for (const level of ["marked", "checked"] as const) {
    test(`(${level}): a success confirms, and costs no more than its half messages`, async () => {
      const { order, sent, p } = setup(level, (tx) => tx.try(stock, { sku: "a" }));
      expect(await order()).toBe(201);
      await p.deliver();
      expect(sent()).toEqual(["stock.reserve.confirm"]);
      expect(p.effects).toEqual(["stock.reserve try", "stock.reserve confirm"]);
    });

    test(`(${level}): a failure cancels`, async () => {
      const { order, sent } = setup(level, async (tx) => {
        await tx.try(stock, { sku: "a" });
        throw new Error("no");
      });
      expect(await order()).toBe(500);
      expect(sent()).toEqual(["stock.reserve.cancel"]);
    });

    test(`(${level}): where a refusal is caught and another takes its place, the first is cancelled and the second confirmed`, async () => {
      const { order, sent, p } = setup(level, (tx) =>
        tx.try(stock, { sku: "a" }).catch(() => tx.try(backorder, { sku: "a" })),
      );
      p.hook = (what) => {
        if (what === "stock.reserve try") throw new RefusedError("out of stock");
      };
      expect(await order()).toBe(201);
      expect([...sent()].sort()).toEqual(["backorder.place.confirm", "stock.reserve.cancel"]);
    });

    test(`(${level}): both are in the log before the call, and it is not made where the log is out of reach`, async () => {
      const { order, sent, p, w, cut } = setup(level, (tx) => tx.try(stock, { sku: "a" }));
      let due = 0;
      p.hook = () => {
        due = w.store.snapshot().due.length;
      };
      await order();
      expect(due).toBe(2);
      p.calls.length = 0;
      const before = sent().length;
      cut((name) => name === "transactions.prepare");
      expect(await order()).toBe(503);
      expect([p.calls, sent().length]).toEqual([[], before]);
    });

    test(`(${level}): a log that goes away when a try fails must take the cancel before there is a commit`, async () => {
      const { order, sent, p, cut } = setup(level, (tx) => tx.try(stock, { sku: "a" }).catch(() => undefined), {
        answer: "unknown",
      });
      p.hook = () => {
        cut((name) => name.startsWith("transactions."));
        throw new RefusedError("no");
      };
      // Out of reach until the end: undecided, and nothing goes out.
      expect(await order()).toBe(201);
      expect(sent()).toEqual([]);
      // Back again before the end: the cancel, and no confirm.
      let failures = 1;
      cut(() => false);
      p.hook = () => {
        cut((name) => name.startsWith("transactions.") && failures-- > 0);
        throw new RefusedError("no");
      };
      expect(await order()).toBe(201);
      expect(sent()).toEqual(["stock.reserve.cancel"]);
    });
  }

  test("what a commit sends for a failed try is in the log before it, and outlives the process", async () => {
    const { order, sent, p, w, cut } = setup("marked", (tx) => tx.try(stock, { sku: "a" }).catch(() => undefined));
    p.hook = () => {
      // The log takes neither the change after the try, nor what became of the messages after the decision.
      let records = 0;
      cut((name) => name === "transactions.record" && ++records !== 2);
      w.transport.fail("unreachable", { times: 1 });
      throw new RefusedError("no");
    };
    expect(await order()).toBe(201);
    expect(sent()).toEqual([]);
    for (let i = 0; i < 2; i++) {
      await w.clock.advance(DEADLINE);
      await w.service(p.options).ac.operator().sweep();
    }
    expect(sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("a route that goes on without the log does not call participants without it", async () => {
    const { order, sent, p, cut } = setup("marked", (tx) => tx.try(stock, { sku: "a" }), { proceed: true });
    cut(() => true);
    expect(await order()).toBe(503);
    expect([p.calls, sent()]).toEqual([[], []]);
  });

  test("a process that dies after its try is looked into: a check that says no cancels", async () => {
    const { w, p, service, sent } = setup("checked", async (tx) => {
      await tx.try(stock, { sku: "a" });
      return new Promise(() => undefined);
    });
    void service.app.request("/orders", { method: "POST" });
    while (p.effects.length === 0) await settled();
    await settled();
    for (let i = 0; i < 4; i++) {
      await w.clock.advance(DEADLINE);
      await service.ac.operator().sweep();
    }
    await p.deliver();
    expect(sent()).toEqual(["stock.reserve.cancel"]);
    expect(p.effects).toEqual(["stock.reserve try", "stock.reserve cancel"]);
  });
});

describe("a direct call", () => {
  const setup = (changes: (p: Participants) => Participants["options"] = (p) => p.options) => {
    const w = memoryWorld("run");
    const p = participantsOf(w);
    let error: unknown;
    const shop = w.shop(async (c) => {
      await c.var.tx.try(stock, { sku: "a" }, { retries: 0 }).catch((caught: unknown) => (error = caught));
      return c.json({});
    }, changes(p));
    return {
      w,
      p,
      async called() {
        error = undefined;
        await shop.ordered();
        return error as AftercommitError & { hint: string };
      },
    };
  };
  const ok = () => new Response(JSON.stringify({ status: "done", result: { shelf: "x" } }));

  test("is signed, says for which URL, carries the trace, and follows no redirect", async () => {
    const { p, called } = setup();
    let seen: RequestInit | undefined;
    p.line = async (_pass, _url, init) => {
      seen = init;
      return new Response(null, { status: 307, headers: { location: "https://evil.example.com/" } });
    };
    expect(await called()).toMatchObject({ code: "ERR_PARTICIPANT_UNAVAILABLE" });
    expect(seen).toMatchObject({ method: "POST", redirect: "manual" });
    expect(Object.keys(seen!.headers as object)).toEqual(
      expect.arrayContaining(["webhook-id", "webhook-timestamp", "webhook-signature"]),
    );
    expect(JSON.parse(seen!.body as string)).toMatchObject({
      v: 1,
      participant: "stock.reserve",
      to: `${PUBLIC_URL}/participants/stock/try`,
      source: SOURCE,
      data: { sku: "a" },
    });
  });

  test("with another secret is refused with 401, reaches no handler, and says what to look at", async () => {
    const other = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
    const { p, called } = setup((found) => ({
      ...found.options,
      calls: directCalls({ secrets: [other], fetch: found.options.calls!.fetch }),
    }));
    expect((await called()).hint).toContain("same secret");
    expect(p.effects).toEqual([]);
  });

  test("is refused with 401 where it was signed for another participant's URL, and with 413 where it is too large", async () => {
    const { p, w, called } = setup();
    const statuses: number[] = [];
    p.line = async (_pass, _url, init) => {
      const elsewhere = `${PUBLIC_URL}/participants/backorder/try`;
      statuses.push((await p.service.app.request(elsewhere, init)).status);
      const large = { ...init, body: "x".repeat(1_100_000) };
      statuses.push((await p.service.app.request(`${PUBLIC_URL}/participants/stock/try`, large)).status);
      const bare = { method: "POST", body: init.body! };
      statuses.push((await p.service.app.request(`${PUBLIC_URL}/participants/stock/try`, bare)).status);
      return new Response("", { status: 500 });
    };
    await called();
    expect(statuses).toEqual([401, 413, 401]);
    expect([p.effects, w.of("rejected").length]).toEqual([[], 3]);
  });

  test.each([
    ["another body", () => new Response("hello")],
    ["a 409 of somebody else", () => new Response("conflict", { status: 409 })],
    ["a 404", () => new Response("", { status: 404 })],
    ["an answer without an end", () => new Response("x".repeat(70_000))],
    ["no body at all", () => new Response(null, { status: 204 })],
  ])("that is answered with %s is not known, and cancelled", async (_, response) => {
    const { p, called, w } = setup();
    p.line = async () => response();
    expect(await called()).toMatchObject({ code: "ERR_PARTICIPANT_UNAVAILABLE" });
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("whose result its schema refuses is cancelled", async () => {
    const { p, called, w } = setup();
    p.line = async () => new Response(JSON.stringify({ status: "done", result: { shelf: 4 } }));
    expect(await called()).toMatchObject({ code: "ERR_INVALID_MESSAGE" });
    expect(w.sent()).toEqual(["stock.reserve.cancel"]);
  });

  test("waits as a busy participant asks, but not long", async () => {
    const w = memoryWorld("run");
    const p = participantsOf(w);
    let busy = 1;
    p.line = async () => (busy-- > 0 ? new Response("{}", { status: 503, headers: { "retry-after": "30" } }) : ok());
    const ordered = w.shop(ordering(w), p.options).ordered();
    while (p.calls.length === 0) await settled();
    await settled();
    await settled();
    await w.clock.advance(1_999);
    expect(p.calls).toHaveLength(1);
    await w.clock.advance(1);
    expect((await ordered).status).toBe(201);
  });

  test("without secrets, and to a route that is no URL, is a typed error before anything is kept", async () => {
    const none = setup((p) => ({ ...p.options, calls: undefined }));
    expect(await none.called()).toMatchObject({ code: "ERR_CONFIGURATION" });
    const twice = setup((p) => ({
      ...p.options,
      routes: { ...p.options.routes, [stock.name]: ["/participants/stock", "/participants/backorder"] },
    }));
    expect(await twice.called()).toMatchObject({ code: "ERR_UNKNOWN_TOPIC" });
    expect([none.w.sent(), twice.w.sent()]).toEqual([[], []]);
  });
});

describe("a participant's contract", () => {
  test("whose name or options cannot work is refused at once", () => {
    const schema = z.string();
    for (const make of [
      () => participant("", { schema }),
      () => participant("a b", { schema }),
      () => participant("a", { schema, retries: 11 }),
      () => participant("a", { schema, timeout: "soon" }),
    ])
      expect(make).toThrow(expect.objectContaining({ code: "ERR_CONFIGURATION" }));
  });

  test("cannot be called in a consumer, whose rerun would begin the branch again", async () => {
    const w = world();
    const p = participantsOf(w);
    const { ac, app } = w.service({
      ...p.options,
      routes: { ...p.options.routes, [orderPaid.name]: "/consumers/receipt" },
    });
    let error: unknown;
    app.post(
      "/consumers/receipt",
      ac.consumer(orderPaid, async ({ tx }) => {
        await tx.try(stock, { sku: "a" }).catch((caught: unknown) => (error = caught));
      }),
    );
    app.post("/orders", ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" });
      return c.json({});
    });
    await app.request("/orders", { method: "POST" });
    await ac.drain();
    await w.deliver(app);
    expect(error).toMatchObject({ code: "ERR_TRANSACTION_LEVEL" });
    expect(p.calls).toEqual([]);
  });
});
