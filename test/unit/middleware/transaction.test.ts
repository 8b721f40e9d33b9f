import { HTTPException } from "hono/http-exception";
import { streamText } from "hono/streaming";
import { describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import type { AftercommitOptions, Transaction, TransactionOptions, Transport } from "aftercommit";
import { topic, UNDECIDED_HEADER } from "aftercommit";
import { anything, faulty, gate, intercepted, orderPaid, seatFreed, settled, world } from "../../support/world.ts";
import type { App, RouteHandler, ServiceUnderTest, StoreFault, World } from "../../support/world.ts";

/** A service with one route, `POST /orders`, in a transaction. */
function ordersOf(
  w: World,
  handler: RouteHandler,
  options: TransactionOptions = {},
  overrides: Partial<AftercommitOptions> = {},
): ServiceUnderTest {
  const made = w.service(overrides);
  made.app.use("/orders", made.ac.transaction(options));
  made.app.post("/orders", handler);
  return made;
}

const order = (app: App, init: RequestInit = {}): Promise<Response> =>
  Promise.resolve(app.request("https://shop.example.com/orders", { method: "POST", ...init }));

async function publishOrder(tx: Transaction): Promise<string> {
  return (await tx.publish(orderPaid, { orderId: "o-1" })).id;
}

/** Nothing of the request is left in the log but its decision. */
function expectNothingLeft(w: World): void {
  const { due, held, dead } = w.store.snapshot();
  expect({ due, held, dead }).toEqual({ due: [], held: [], dead: [] });
}

describe("a request that publishes nothing", () => {
  test("does no I/O", async () => {
    const w = world();
    const untouchable = intercepted(w.store, (_call, name) => {
      throw new Error(`expected no call, found ${name}`);
    });
    const never = () => {
      throw new Error("expected no call of the transport");
    };
    const transport: Transport = { publish: never, wake: never, receiver: w.receiver };
    const { ac, app } = ordersOf(
      w,
      (c) => c.text(c.var.tx.id),
      {},
      { log: untouchable, transport, recovery: { watchdog: "2m" } },
    );
    const response = await order(app);
    await ac.drain();
    expect(response.status).toBe(200);
    expect(w.events).toEqual([]);
  });

  test("does no I/O when it fails, at either level", async () => {
    for (const check of [undefined, "order"]) {
      const w = world();
      const asked = vi.fn(() => "committed" as const);
      const log = intercepted(w.store, () => Promise.reject(new Error("expected no call")));
      const options = check === undefined ? {} : { check };
      const { ac, app } = ordersOf(w, (c) => c.text("no", 500), options, { log, checks: { order: asked } });
      expect((await order(app)).status).toBe(500);
      await ac.drain();
      expect(asked).not.toHaveBeenCalled();
      expect(w.events).toEqual([]);
    }
  });
});

describe("a success", () => {
  test("commits before the response and publishes after it", async () => {
    const w = world();
    const { passed, open } = gate();
    const transport: Transport = {
      ...w.transport,
      publish: async (dispatches) => {
        await passed;
        return w.transport.publish(dispatches);
      },
    };
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        expect(w.store.snapshot().decisions).toEqual([]);
        return c.text(c.var.tx.id, 201);
      },
      {},
      { transport },
    );
    const response = await order(app);
    const id = await response.text();
    expect(w.store.snapshot().decisions).toEqual([[id, { verdict: "committed", decidedAt: w.clock.now() }]]);
    expect(w.transport.accepted).toEqual([]);
    open();
    await ac.drain();
    expect(w.transport.accepted).toHaveLength(1);
    expect(response.headers.has(UNDECIDED_HEADER)).toBe(false);
  });

  test("is any status below 400, a redirect too", async () => {
    for (const [status, sent] of [
      [200, 1],
      [204, 1],
      [302, 1],
      [399, 1],
      [400, 0],
      [404, 0],
      [500, 0],
    ] as const) {
      const w = world();
      const { ac, app } = ordersOf(w, async (c) => {
        await publishOrder(c.var.tx);
        return new Response(null, { status });
      });
      expect((await order(app)).status).toBe(status);
      await ac.drain();
      expect(w.transport.accepted, String(status)).toHaveLength(sent);
    }
  });

  test("is what commitWhen says it is", async () => {
    for (const [status, sent] of [
      [200, 0],
      [422, 1],
    ] as const) {
      const w = world();
      const { ac, app } = ordersOf(
        w,
        async (c) => {
          await publishOrder(c.var.tx);
          return c.text("", status);
        },
        { commitWhen: (c) => c.res.status === 422 },
      );
      await order(app);
      await ac.drain();
      expect(w.transport.accepted).toHaveLength(sent);
    }
  });

  test("is not an error, whatever commitWhen says", async () => {
    const w = world();
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        throw new Error("no stock");
      },
      { commitWhen: () => true },
    );
    app.onError((_error, c) => c.text("fine", 200));
    expect((await order(app)).status).toBe(200);
    await ac.drain();
    expect(w.transport.accepted).toEqual([]);
    expectNothingLeft(w);
  });

  test("of a commitWhen that throws is none: the transaction is rolled back", async () => {
    const w = world();
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        return c.text("ok");
      },
      {
        commitWhen: () => {
          throw new Error("a bug of the app");
        },
      },
    );
    expect((await order(app)).status).toBe(500);
    await ac.drain();
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack" }]);
    expectNothingLeft(w);
  });
});

describe("what is published", () => {
  test("in one tick travels as one write", async () => {
    const w = world();
    const writes: string[] = [];
    const log = intercepted(w.store, (call, name) => {
      if (name === "transactions.prepare") writes.push(name);
      return call();
    });
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        const { tx } = c.var;
        const ids = await Promise.all([
          tx.publish(orderPaid, { orderId: "1" }),
          tx.publish(orderPaid, { orderId: "2" }),
        ]);
        await tx.publish(orderPaid, { orderId: "3" });
        return c.json(ids.map(({ id }) => id));
      },
      {},
      { log },
    );
    const ids = (await (await order(app)).json()) as string[];
    await ac.drain();
    expect(new Set(ids).size).toBe(2);
    expect(writes).toHaveLength(2);
    expect(w.of("prepared").map(({ deliveries }) => deliveries)).toEqual([2, 1]);
    expect(w.transport.calls.map((call) => call.length)).toEqual([3]);
  });

  test("and not awaited still counts", async () => {
    const w = world();
    const { ac, app } = ordersOf(w, (c) => {
      void publishOrder(c.var.tx);
      return c.text("ok");
    });
    await order(app);
    await ac.drain();
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("after the response is refused and not kept", async () => {
    const w = world();
    let kept: Transaction | undefined;
    const { ac, app } = ordersOf(w, (c) => {
      kept = c.var.tx;
      return c.text("ok");
    });
    await order(app);
    await expect(publishOrder(kept!)).rejects.toMatchObject({
      name: "TransactionStateError",
      code: "ERR_TRANSACTION_DECIDED",
      transactionId: kept!.id,
    });
    await ac.drain();
    expect(w.store.snapshot()).toMatchObject({ due: [], decisions: [] });
  });

  test("goes to each destination under one message id", async () => {
    const w = world();
    const routes = { [orderPaid.name]: ["/consumers/receipt", "https://stock.example.net/consumers/stock"] };
    const { ac, app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { routes });
    const id = await (await order(app)).text();
    await ac.drain();
    const sent = w.transport.accepted.map(({ record, body }) => [
      record.destination,
      record.messageId,
      (JSON.parse(body) as { id: string }).id,
    ]);
    expect(sent).toEqual([
      ["https://shop.example.com/consumers/receipt", id, id],
      ["https://stock.example.net/consumers/stock", id, id],
    ]);
    expect(new Set(w.transport.accepted.map(({ record }) => record.key)).size).toBe(2);
  });

  test("is a CloudEvents envelope with the caller's trace", async () => {
    const w = world();
    const { ac, app } = ordersOf(w, async (c) => {
      await w.clock.advance(1_000);
      await c.var.tx.publish(orderPaid, { orderId: "ö" }, { delay: "1m" });
      await w.clock.advance(1_000);
      return c.text(c.var.tx.id);
    });
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const startedAt = w.clock.now();
    const id = await (await order(app, { headers: { traceparent, tracestate: "a=b" } })).text();
    await ac.drain();
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(JSON.parse(w.transport.accepted[0]!.body)).toEqual({
      specversion: "1.0",
      id: `${id}_0`,
      source: "https://shop.example.com/",
      type: "order.paid",
      time: new Date(startedAt + 1_000).toISOString(),
      decidedat: new Date(startedAt + 2_000).toISOString(),
      notbefore: new Date(startedAt + 61_000).toISOString(),
      datacontenttype: "application/json",
      transactionid: id,
      messageindex: 0,
      traceparent,
      tracestate: "a=b",
      data: { orderId: "ö" },
    });
  });

  test("carries no trace that is not well formed", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (const traceparent of [
      "x",
      `00-${trace}-00f067aa0ba902b7`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
      `00-${trace}-${"0".repeat(16)}-01`,
      `ff-${trace}-00f067aa0ba902b7-01`,
      `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
    ]) {
      const w = world();
      const { ac, app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)));
      await order(app, { headers: { traceparent, tracestate: "a=b" } });
      await ac.drain();
      expect(JSON.parse(w.transport.accepted[0]!.body), traceparent).not.toHaveProperty("traceparent");
      expect(JSON.parse(w.transport.accepted[0]!.body)).not.toHaveProperty("tracestate");
    }
  });
});

describe("a failure at marked", () => {
  const failures: Record<string, RouteHandler> = {
    "a failure status": async (c) => {
      await publishOrder(c.var.tx);
      return c.text("no", 409);
    },
    "a thrown error": async (c) => {
      await publishOrder(c.var.tx);
      throw new Error("no stock");
    },
    "an HTTPException": async (c) => {
      await publishOrder(c.var.tx);
      throw new HTTPException(403);
    },
    "an HTTPException with a success status": async (c) => {
      await publishOrder(c.var.tx);
      throw new HTTPException(undefined, { res: new Response(null, { status: 304 }) });
    },
    "a route that is not there": async (c) => {
      await publishOrder(c.var.tx);
      return c.notFound();
    },
  };
  for (const [name, handler] of Object.entries(failures)) {
    test(`by ${name} rolls back, and the half messages leave the log`, async () => {
      const w = world();
      const { ac, app } = ordersOf(w, handler);
      await order(app);
      await ac.drain();
      expect(w.transport.calls).toEqual([]);
      expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "request" }]);
      expect(w.of("revoked")).toHaveLength(1);
      expectNothingLeft(w);
    });
  }

  test("by a thrown value that is no Error rolls back and is thrown on", async () => {
    const w = world();
    const { ac, app } = ordersOf(w, async (c) => {
      await publishOrder(c.var.tx);
      // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error -- what a careless handler does
      throw "no stock";
    });
    await expect(order(app)).rejects.toBe("no stock");
    await ac.drain();
    expect(w.transport.calls).toEqual([]);
    expectNothingLeft(w);
  });

  test("sends what was registered for the rollback, and only that", async () => {
    for (const [status, expected] of [
      [500, "seat.freed"],
      [200, "order.paid"],
    ] as const) {
      const w = world();
      const { ac, app } = ordersOf(w, async (c) => {
        await publishOrder(c.var.tx);
        await c.var.tx.publish(seatFreed, { seat: "14C" }, { on: "rollback" });
        return c.text("", status);
      });
      await order(app);
      await ac.drain();
      expect(w.transport.accepted.map(({ record }) => record.topic)).toEqual([expected]);
      expect(w.store.snapshot().due).toHaveLength(1);
    }
  });
});

describe("a streaming response", () => {
  test("is decided by its status before the stream ends", async () => {
    const w = world();
    const { passed, open } = gate();
    const { ac, app } = ordersOf(w, async (c) => {
      await publishOrder(c.var.tx);
      return streamText(c, async (stream) => {
        await stream.write("first");
        await passed;
        await stream.write("last");
      });
    });
    const response = await order(app);
    await ac.drain();
    expect(w.transport.accepted).toHaveLength(1);
    open();
    expect(await response.text()).toBe("firstlast");
  });

  test("that errors after its status is still a success", async () => {
    const w = world();
    const { ac, app } = ordersOf(w, async (c) => {
      await publishOrder(c.var.tx);
      return c.body(new ReadableStream({ pull: (controller) => controller.error(new Error("cut off")) }));
    });
    const response = await order(app);
    await expect(response.text()).rejects.toThrow("cut off");
    await ac.drain();
    expect(w.transport.accepted).toHaveLength(1);
  });
});

test("a client that goes away does not decide: the handler's outcome does", async () => {
  for (const [status, sent] of [
    [200, 1],
    [500, 0],
  ] as const) {
    const w = world();
    const gone = new AbortController();
    const { ac, app } = ordersOf(w, async (c) => {
      await publishOrder(c.var.tx);
      gone.abort();
      await settled();
      return c.text("", status);
    });
    await order(app, { signal: gone.signal });
    await ac.drain();
    expect(w.transport.accepted).toHaveLength(sent);
    expect(w.store.snapshot().decisions).toHaveLength(1);
  }
});

describe("a transaction inside a transaction", () => {
  test("is the same one", async () => {
    const w = world();
    const { ac, app } = w.service();
    const seen = new Set<string>();
    app.use("*", ac.transaction(), async (c, next) => {
      seen.add(c.var.tx.id);
      await next();
    });
    app.use("/orders", ac.transaction());
    app.post("/orders", async (c) => {
      seen.add(c.var.tx.id);
      await publishOrder(c.var.tx);
      return c.text("ok");
    });
    await order(app);
    await ac.drain();
    expect(seen.size).toBe(1);
    expect(w.of("decided")).toHaveLength(1);
  });

  const others: [string, TransactionOptions, TransactionOptions][] = [
    ["another level", {}, { check: "order" }],
    ["another level, the other way round", { check: "order" }, {}],
    ["another check", { check: "order" }, { check: "payment" }],
  ];
  for (const [name, outer, inner] of others) {
    test(`with ${name} is refused by a typed error`, async () => {
      const w = world();
      const checks = { order: () => "rolledBack" as const, payment: () => "committed" as const };
      const { ac, app } = w.service({ checks });
      app.use("*", ac.transaction(outer));
      app.use("/orders", ac.transaction(inner));
      app.post("/orders", (c) => c.text("ok"));
      const errors: unknown[] = [];
      app.onError((error, c) => {
        errors.push(error);
        return c.text("no", 500);
      });
      expect((await order(app)).status).toBe(500);
      expect(errors).toMatchObject([{ name: "TransactionStateError", code: "ERR_TRANSACTION_LEVEL" }]);
    });
  }
});

describe("a log out of reach", () => {
  const cut = (w: World, faults: Record<string, StoreFault>) =>
    faulty(w.store, (name) => faults[name] ?? faults["*"] ?? "none");

  test("makes publish reject, and the request that lets it through answers 503", async () => {
    const w = world();
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        return c.text("ok");
      },
      {},
      { log: cut(w, { "*": "unreachable" }) },
    );
    const response = await order(app);
    await ac.drain();
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toEqual({ error: { code: "ERR_LOG_UNAVAILABLE" } });
    expect(w.transport.calls).toEqual([]);
  });

  test("counts as out of reach when it does not answer in time", async () => {
    const w = world();
    const log = intercepted(w.store, () => new Promise(() => undefined));
    const { app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { log, storeTimeout: "3s" });
    const response = order(app);
    await settled();
    await w.clock.advance(2_999);
    expect(w.events).toEqual([]);
    await w.clock.advance(10_000);
    expect((await response).status).toBe(503);
  });

  for (const fault of ["unreachable", "replyLost"] as const) {
    test(`on a publish whose rejection is swallowed keeps that message back (${fault})`, async () => {
      const w = world();
      let prepares = 0;
      const log = faulty(w.store, (name) => (name === "transactions.prepare" && ++prepares === 2 ? fault : "none"));
      const { ac, app } = ordersOf(
        w,
        async (c) => {
          await c.var.tx.publish(orderPaid, { orderId: "kept" });
          await c.var.tx.publish(orderPaid, { orderId: "lost" }).catch(() => undefined);
          return c.text("ok");
        },
        {},
        { log },
      );
      expect((await order(app)).status).toBe(200);
      await ac.drain();
      await w.clock.advance(600_000);
      await ac.operator().sweep({ audit: false });
      expect(w.transport.accepted.map(({ body }) => (JSON.parse(body) as { data: unknown }).data)).toEqual([
        { orderId: "kept" },
      ]);
    });
  }

  test("keeps back a message whose watchdog was refused, even if the log takes it a moment later", async () => {
    const w = world();
    const { passed, open } = gate();
    const log = intercepted(w.store, async (call, name) => {
      if (name === "transactions.prepare") await passed;
      return call();
    });
    const transport: Transport = { ...w.transport, wake: () => Promise.reject(new Error("429")) };
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx).catch(() => undefined);
        return c.text("ok");
      },
      {},
      { log, transport, recovery: { watchdog: "2m" } },
    );
    const response = order(app);
    await settled();
    open();
    await settled();
    expect((await response).status).toBe(200);
    await ac.drain();
    await w.clock.advance(600_000);
    await ac.operator().sweep({ audit: false });
    expect(w.transport.accepted).toEqual([]);
    expectNothingLeft(w);
  });

  test("when it decides lets the handler's response stand, says so, and leaves a marked one held", async () => {
    const w = world();
    let reachable = false;
    const log = faulty(w.store, (name) => (name === "transactions.decide" && !reachable ? "unreachable" : "none"));
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        return c.text(c.var.tx.id, 201);
      },
      {},
      { log },
    );
    const response = await order(app);
    const id = await response.text();
    expect(response.status).toBe(201);
    expect(response.headers.get(UNDECIDED_HEADER)).toBe(id);
    expect(w.of("undecided")).toMatchObject([{ transactionId: id, error: { code: "ERR_LOG_UNAVAILABLE" } }]);
    reachable = true;
    await w.clock.advance(120_001);
    await ac.operator().sweep({ audit: false });
    expect(w.transport.accepted).toEqual([]);
    expect((await ac.operator().log.listHeld()).items).toMatchObject([{ transactionId: id }]);
  });

  test("when it decides for a moment keeps the messages of a success that came after a rollback", async () => {
    const w = world();
    let failures = 1;
    const log = faulty(w.store, (name) => (name === "transactions.decide" && failures-- > 0 ? "unreachable" : "none"));
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        // Somebody has decided while the handler was at work.
        await w.store.transactions.decide(c.var.tx.id, "rolledBack", w.clock.now());
        return c.text(c.var.tx.id, 201);
      },
      { check: "order" },
      { log, checks: { order: () => "rolledBack" as const } },
    );
    const response = await order(app);
    await ac.drain();
    expect(response.headers.get(UNDECIDED_HEADER)).toBe(await response.text());
    expect(w.transport.accepted).toEqual([]);
    expect((await ac.operator().log.listDead()).items).toMatchObject([{ reason: "conflict" }]);
  });

  test("when it decides leaves a checked one to the check", async () => {
    const w = world();
    let reachable = false;
    const log = faulty(w.store, (name) => (name === "transactions.decide" && !reachable ? "unreachable" : "none"));
    const check = vi.fn(() => "committed" as const);
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        return c.text(c.var.tx.id, 201);
      },
      { check: "order" },
      { log, checks: { order: check } },
    );
    const response = await order(app);
    const id = await response.text();
    expect(response.headers.get(UNDECIDED_HEADER)).toBe(id);
    reachable = true;
    await ac.drain();
    expect(check).not.toHaveBeenCalled();
    await w.clock.advance(120_001);
    await ac.operator().sweep({ audit: false });
    expect(check).toHaveBeenCalledExactlyOnceWith(id);
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("whose reply to the decision is lost leaves the decision in force", async () => {
    const w = world();
    const log = cut(w, { "transactions.decide": "replyLost" });
    const { ac, app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { log });
    expect((await order(app)).headers.has(UNDECIDED_HEADER)).toBe(true);
    await w.clock.advance(120_001);
    await ac.operator().sweep({ audit: false });
    expect(w.transport.accepted).toHaveLength(1);
    expect(w.of("held")).toEqual([]);
  });

  test("is found out before any work by an eager transaction", async () => {
    const w = world();
    const handler = vi.fn((c) => c.text("ok"));
    const { app } = ordersOf(w, handler, { prepare: "eager" }, { log: cut(w, { "*": "unreachable" }) });
    expect((await order(app)).status).toBe(503);
    expect(handler).not.toHaveBeenCalled();
  });
});

describe("what goes on after the response", () => {
  test("is given to waitUntil where there is an execution context", async () => {
    const w = world();
    const { passed, open } = gate();
    const transport: Transport = { ...w.transport, publish: (all) => passed.then(() => w.transport.publish(all)) };
    const { app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { transport });
    const waited: Promise<unknown>[] = [];
    const context = {
      waitUntil: (promise: Promise<unknown>) => void waited.push(promise),
      passThroughOnException: () => undefined,
      props: {},
    };
    await app.request("/orders", { method: "POST" }, {}, context);
    let ended = false;
    const all = Promise.all(waited).then(() => (ended = true));
    await settled();
    expect(ended).toBe(false);
    open();
    await all;
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("is what drain waits for", async () => {
    const w = world();
    const { passed, open } = gate();
    const transport: Transport = { ...w.transport, publish: (all) => passed.then(() => w.transport.publish(all)) };
    const { ac, app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { transport });
    await order(app);
    let drained = false;
    const drain = ac.drain().then(() => (drained = true));
    await settled();
    expect(drained).toBe(false);
    open();
    await drain;
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("is done by a sweep where the process dies instead", async () => {
    const w = world();
    const transport: Transport = { ...w.transport, publish: () => new Promise(() => undefined) };
    const { app } = ordersOf(w, async (c) => c.text(await publishOrder(c.var.tx)), {}, { transport });
    await order(app);
    await w.clock.advance(120_001);
    const next = w.service();
    await next.ac.operator().sweep({ audit: false });
    expect(w.transport.accepted).toHaveLength(1);
  });
});

describe("a checked transaction", () => {
  const failing: RouteHandler = async (c) => {
    await publishOrder(c.var.tx);
    await c.var.tx.publish(seatFreed, { seat: "14C" }, { on: "rollback" });
    return c.text(c.var.tx.id, 500);
  };
  const sentTopics = (w: World) => w.transport.accepted.map(({ record }) => record.topic);

  test("commits on success without asking", async () => {
    const w = world();
    const check = vi.fn(() => "rolledBack" as const);
    const { ac, app } = ordersOf(
      w,
      async (c) => c.text(await publishOrder(c.var.tx)),
      { check: "order" },
      { checks: { order: check } },
    );
    await order(app);
    await ac.drain();
    expect(check).not.toHaveBeenCalled();
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("asks after the response of a failure, and commits if the check says so", async () => {
    const w = world();
    const { passed, open } = gate();
    const asked: string[] = [];
    const check = async (id: string) => {
      asked.push(id);
      await passed;
      return "committed" as const;
    };
    const { ac, app } = ordersOf(w, failing, { check: "order" }, { checks: { order: check } });
    const id = await (await order(app)).text();
    expect(w.store.snapshot().decisions).toEqual([]);
    open();
    await ac.drain();
    expect(asked).toEqual([id]);
    expect(sentTopics(w)).toEqual(["order.paid"]);
    expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "check" }]);
  });

  test("rolls back at once if the check says no: the handler has ended", async () => {
    const w = world();
    const { ac, app } = ordersOf(w, failing, { check: "order" }, { checks: { order: () => "rolledBack" } });
    await order(app);
    await ac.drain();
    expect(sentTopics(w)).toEqual(["seat.freed"]);
  });

  const unhelpful: Record<string, () => never> = {
    "does not know": () => "unknown" as never,
    throws: () => {
      throw new Error("the database is away");
    },
    "answers something else": () => true as never,
  };
  for (const [name, check] of Object.entries(unhelpful)) {
    test(`is left to the sweep where the check ${name}`, async () => {
      const w = world();
      let answer: () => "committed" = check;
      const { ac, app } = ordersOf(w, failing, { check: "order" }, { checks: { order: () => answer() } });
      await order(app);
      await ac.drain();
      expect(w.store.snapshot().decisions).toEqual([]);
      expect(w.of("checkFailed")).toHaveLength(name === "does not know" ? 0 : 1);
      answer = () => "committed";
      await w.clock.advance(120_001);
      await ac.operator().sweep({ audit: false });
      expect(sentTopics(w)).toEqual(["order.paid"]);
    });
  }

  test("that fails never sends what publish refused, though the check says committed", async () => {
    for (const answers of [["committed"], ["unknown", "committed"]] as const) {
      const w = world();
      let prepares = 0;
      const log = faulty(w.store, (name) =>
        name === "transactions.prepare" && ++prepares === 2 ? "replyLost" : "none",
      );
      const left = [...answers];
      const { ac, app } = ordersOf(
        w,
        async (c) => {
          await publishOrder(c.var.tx);
          await c.var.tx.publish(anything, "refused").catch(() => undefined);
          return c.text("no", 500);
        },
        { check: "order" },
        { log, checks: { order: () => left.shift()! } },
      );
      await order(app);
      await ac.drain();
      await w.clock.advance(120_001);
      await ac.operator().sweep({ audit: false });
      expect(sentTopics(w)).toEqual(["order.paid"]);
    }
  });

  test("that succeeds after a sweep had rolled it back is flagged, and its payload kept", async () => {
    const w = world();
    const { passed, open } = gate();
    const { ac, app } = ordersOf(
      w,
      async (c) => {
        await publishOrder(c.var.tx);
        await passed;
        return c.text(c.var.tx.id, 201);
      },
      { check: "order" },
      { checks: { order: () => "rolledBack" } },
    );
    const operator = ac.operator();
    const answer = order(app);
    await w.clock.advance(120_001);
    await operator.sweep({ audit: false });
    expect(w.of("decided")).toEqual([]);
    await w.clock.advance(30_001);
    await operator.sweep({ audit: false });
    expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "check" }]);
    open();
    const response = await answer;
    const id = await response.text();
    await ac.drain();
    expect(response.status).toBe(201);
    expect(w.of("conflict")).toMatchObject([{ transactionId: id, deliveries: 1 }]);
    const [letter] = (await operator.log.listDead()).items;
    expect(letter).toMatchObject({ reason: "conflict", record: { transactionId: id } });
    expect(letter!.record.body).toContain('"orderId":"o-1"');
    await expect(operator.redrive(letter!.record.key)).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    expect(w.transport.accepted).toEqual([]);
    const again = await operator.redrive(letter!.record.key, { asNew: true });
    expect(w.transport.accepted.map(({ record }) => record.messageId)).toEqual([again.messageId]);
    expect(again.messageId).not.toBe(letter!.record.messageId);
  });
});

test("a request that fails after a person had committed it is flagged, and the commit stands", async () => {
  const w = world();
  const { passed, open } = gate();
  const { ac, app } = ordersOf(w, async (c) => {
    await publishOrder(c.var.tx);
    await passed;
    return c.text("no", 500);
  });
  const answer = order(app);
  await w.clock.advance(120_001);
  await ac.operator().sweep({ audit: false });
  await ac.operator().decide(w.store.snapshot().held[0]![1].transactionId, "committed");
  open();
  expect((await answer).status).toBe(500);
  await ac.drain();
  expect(w.of("conflict")).toHaveLength(1);
  expect(w.transport.accepted).toHaveLength(1);
  expect(w.store.snapshot().dead).toEqual([]);
});

test("a slow marked request whose messages were held is published when it succeeds, and nothing stays held", async () => {
  const w = world();
  const { passed, open } = gate();
  const { ac, app } = ordersOf(w, async (c) => {
    await publishOrder(c.var.tx);
    await passed;
    return c.text("ok");
  });
  const answer = order(app);
  await w.clock.advance(120_001);
  await ac.operator().sweep({ audit: false });
  expect(w.store.snapshot().held).toHaveLength(1);
  open();
  expect((await answer).status).toBe(200);
  await ac.drain();
  expect(w.transport.accepted).toHaveLength(1);
  expect(w.store.snapshot().held).toEqual([]);
  expect(w.store.snapshot().due).toMatchObject([[expect.any(String), { mark: "published" }]]);
});

test("an error of ours that a handler lets through is told, as Hono does not log what brings its own response", async () => {
  const w = world();
  const { ac, app } = w.service();
  const unrouted = topic("un.routed", z.object({}));
  app.post("/", ac.transaction(), async (c) => {
    await c.var.tx.publish(unrouted, {});
    return c.text("never");
  });
  expect((await app.request("/", { method: "POST" })).status).toBe(500);
  expect(w.of("requestFailed")).toMatchObject([{ error: { code: "ERR_UNKNOWN_TOPIC" } }]);
});
