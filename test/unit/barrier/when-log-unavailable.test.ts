import { describe, expect, test } from "vitest";
import type { AftercommitOptions, CheckAnswer, Transaction, TransactionOptions } from "aftercommit";
import { UNDECIDED_HEADER, UNPROTECTED_HEADER } from "aftercommit";
import { ELSEWHERE, faulty, orderPaid, PUBLIC_URL, seatFreed, settled, world } from "../../support/world.ts";
import type { RouteHandler, StoreFault, World } from "../../support/world.ts";

const DEADLINE = 120_000;
const LEVELS = ["marked", "checked"] as const;
type Level = (typeof LEVELS)[number];

/** A world with one route, whose log can be cut off. */
function shopOf(level: Level, handler: RouteHandler, more: TransactionOptions = { whenLogUnavailable: "proceed" }) {
  const w = world();
  const state = {
    fault: "unreachable" as StoreFault | ((name: string) => StoreFault),
    answer: "unknown" as CheckAnswer,
  };
  const log = faulty(w.store, (name) => (typeof state.fault === "string" ? state.fault : state.fault(name)));
  const overrides: Partial<AftercommitOptions> = { log, checks: { order: () => state.answer } };
  const { ac, app } = w.service(overrides);
  app.onError(() => new Response("failed", { status: 500 }));
  app.post("/orders", ac.transaction({ ...(level === "checked" ? { check: "order" } : {}), ...more }), handler);
  return {
    w,
    state,
    ac,
    async order() {
      const response = await app.request("/orders", { method: "POST" });
      const drained = ac.drain();
      for (let n = 0; n < 10; n++) await w.clock.advance(60_000);
      await drained;
      return response;
    },
  };
}

const publishOrder = (tx: Transaction, orderId = "o-1") => tx.publish(orderPaid, { orderId });
const ordered: RouteHandler = async (c) => {
  await publishOrder(c.var.tx);
  return c.text(c.var.tx.id, 201);
};
const sent = (w: World) => w.transport.accepted.map(({ record }) => record.topic);

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

for (const level of LEVELS) {
  describe(`with whenLogUnavailable "reject", at ${level}`, () => {
    test("a publish is refused while the log is down, and nothing is sent", async () => {
      let found: unknown;
      const { w, order } = shopOf(
        level,
        async (c) => {
          found = await errorOf(publishOrder(c.var.tx));
          return c.text("without it");
        },
        {},
      );
      const response = await order();
      expect([response.status, response.headers.has(UNPROTECTED_HEADER)]).toEqual([200, false]);
      expect(found).toMatchObject({ name: "UnavailableError", code: "ERR_LOG_UNAVAILABLE", retryable: true });
      expect([w.transport.calls, w.of("unprotected"), w.of("lost")]).toEqual([[], [], []]);
    });

    test("a decision that cannot be written is told of on the response, and left to recovery", async () => {
      const { w, state, order } = shopOf(level, ordered, { whenLogUnavailable: "reject" });
      state.fault = (name) => (name === "transactions.decide" ? "unreachable" : "none");
      const response = await order();
      expect([response.status, response.headers.has(UNDECIDED_HEADER)]).toEqual([201, true]);
      expect(response.headers.has(UNPROTECTED_HEADER)).toBe(false);
      expect([w.transport.calls, w.of("unprotected")]).toEqual([[], []]);
    });

    test("an eager request is refused before its work begins", async () => {
      let worked = false;
      const { order } = shopOf(
        level,
        (c) => {
          worked = true;
          return c.text("never");
        },
        { prepare: "eager" },
      );
      expect([(await order()).status, worked]).toEqual([500, false]);
    });
  });

  describe(`with whenLogUnavailable "proceed", at ${level}`, () => {
    test("nothing differs while the log is there", async () => {
      const { w, state, order } = shopOf(level, ordered);
      state.fault = "none";
      const response = await order();
      expect([response.status, response.headers.has(UNPROTECTED_HEADER)]).toEqual([201, false]);
      expect([sent(w), w.of("unprotected")]).toEqual([["order.paid"], []]);
    });

    test("a success sends from memory, is counted, and says so on the response", async () => {
      const { w, order } = shopOf(level, async (c) => {
        await publishOrder(c.var.tx, "o-1");
        await publishOrder(c.var.tx, "o-2");
        return c.text(c.var.tx.id, 201);
      });
      const response = await order();
      expect([response.status, response.headers.get(UNPROTECTED_HEADER)]).toEqual([201, "2"]);
      expect(response.headers.has(UNDECIDED_HEADER)).toBe(false);
      const transactionId = await response.text();
      expect(sent(w)).toEqual(["order.paid", "order.paid"]);
      expect(w.of("unprotected")).toEqual([{ type: "unprotected", transactionId, deliveries: 2 }]);
      expect([w.of("lost"), w.of("prepared")]).toEqual([[], []]);
      expect(JSON.parse(w.transport.accepted[0]!.body)).toMatchObject({ decidedat: expect.any(String) });
    });

    for (const [how, handler] of Object.entries<RouteHandler>({
      "a failure status": async (c) => {
        await publishOrder(c.var.tx);
        return c.text("no", 500);
      },
      "an error": async (c) => {
        await publishOrder(c.var.tx);
        throw new Error("no stock");
      },
    })) {
      test(`${how} sends nothing, and claims nothing on the response`, async () => {
        const { w, state, order } = shopOf(level, handler);
        state.answer = "rolledBack";
        const response = await order();
        expect([response.status, response.headers.has(UNPROTECTED_HEADER)]).toEqual([500, false]);
        expect([w.transport.calls, w.of("unprotected"), w.of("lost")]).toEqual([[], [], []]);
      });
    }

    test("a message for a rollback is refused, and those of the same tick go on", async () => {
      const found: unknown[] = [];
      const { w, order } = shopOf(level, async (c) => {
        const { tx } = c.var;
        found.push(
          ...(await Promise.all([
            errorOf(publishOrder(tx)),
            errorOf(tx.publish(seatFreed, { seat: "1" }, { on: "rollback" })),
          ])),
        );
        return c.text("ok");
      });
      const response = await order();
      expect(response.headers.get(UNPROTECTED_HEADER)).toBe("1");
      expect(found).toMatchObject([undefined, { code: "ERR_LOG_UNAVAILABLE" }]);
      expect(sent(w)).toEqual(["order.paid"]);
    });

    test("a message that cannot be sent is refused all the same", async () => {
      let found: unknown;
      const { w, order } = shopOf(level, async (c) => {
        found = await errorOf(c.var.tx.publish(orderPaid, { orderId: 1 as unknown as string }));
        return c.text("ok");
      });
      expect((await order()).headers.has(UNPROTECTED_HEADER)).toBe(false);
      expect(found).toMatchObject({ code: "ERR_INVALID_MESSAGE" });
      expect(w.transport.calls).toEqual([]);
    });

    test("an eager request goes on to its work", async () => {
      const { w, order } = shopOf(level, ordered, { whenLogUnavailable: "proceed", prepare: "eager" });
      const response = await order();
      expect([response.status, response.headers.get(UNPROTECTED_HEADER)]).toEqual([201, "1"]);
      expect(sent(w)).toEqual(["order.paid"]);
    });

    test("a log that comes back in between keeps what is published from then on", async () => {
      const { w, state, order } = shopOf(level, async (c) => {
        await publishOrder(c.var.tx, "o-1");
        state.fault = "none";
        await publishOrder(c.var.tx, "o-2");
        return c.text(c.var.tx.id, 201);
      });
      const response = await order();
      expect(response.headers.get(UNPROTECTED_HEADER)).toBe("1");
      expect(sent(w)).toHaveLength(2);
      expect(w.of("prepared")).toMatchObject([{ deliveries: 1 }]);
      expect(w.of("unprotected")).toMatchObject([{ deliveries: 1 }]);
      expect(w.store.snapshot().decisions).toMatchObject([[await response.text(), { verdict: "committed" }]]);
    });

    test("a log that goes away before the decision is no reason to leave it undecided: all is sent from memory", async () => {
      const { w, state, order } = shopOf(level, async (c) => {
        await publishOrder(c.var.tx);
        await c.var.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
        state.fault = "unreachable";
        return c.text("ok", 201);
      });
      state.fault = "none";
      const response = await order();
      expect([response.headers.has(UNDECIDED_HEADER), response.headers.get(UNPROTECTED_HEADER)]).toEqual([false, "1"]);
      expect(sent(w)).toEqual(["order.paid"]);
      expect(w.of("undecided")).toEqual([]);
    });

    test("a prepare that was applied, its reply lost, is decided once the log answers, and sent once", async () => {
      const { w, state, order } = shopOf(level, ordered);
      state.fault = (name) => (name === "transactions.prepare" ? "replyLost" : "none");
      expect((await order()).headers.get(UNPROTECTED_HEADER)).toBe("1");
      expect(w.store.snapshot().decisions).toMatchObject([[expect.anything(), { verdict: "committed" }]]);
      state.answer = "rolledBack";
      await w.clock.advance(DEADLINE);
      await w
        .service({ checks: { order: () => state.answer } })
        .ac.operator()
        .sweep();
      expect(w.transport.accepted).toHaveLength(1);
      expect(w.store.snapshot().held).toEqual([]);
    });

    test("a transport that fails too is asked again a few times", async () => {
      const { w, order } = shopOf(level, ordered);
      w.transport.fail("unreachable", { times: 3 });
      expect((await order()).headers.get(UNPROTECTED_HEADER)).toBe("1");
      expect([sent(w), w.of("lost"), w.of("publishFailed").length]).toEqual([["order.paid"], [], 3]);
    });

    test("what the transport never takes is lost, and told of", async () => {
      const { w, order } = shopOf(level, ordered);
      w.transport.fail("unreachable", { times: 99 });
      const transactionId = await (await order()).text();
      expect(w.of("lost")).toEqual([{ type: "lost", transactionId, deliveries: 1 }]);
      expect(sent(w)).toEqual([]);
    });

    test("what the transport refuses is a dead letter where the log is back, else lost, and told of", async () => {
      for (const back of [true, false]) {
        const { w, state, order } = shopOf(level, ordered);
        state.fault = (name) => (!back || name === "transactions.prepare" ? "unreachable" : "none");
        w.transport.fail({ status: "refused", reason: "no such host", code: 404 });
        await order();
        expect(w.store.snapshot().dead).toMatchObject(
          back ? [[expect.anything(), { reason: "refused", status: 404 }]] : [],
        );
        expect(w.of("lost")).toMatchObject(back ? [] : [{ deliveries: 1 }]);
      }
    });

    test("a log that hangs is waited for as long as a call may take, and then done without", async () => {
      const w = world();
      const hanging = {
        ...w.store,
        transactions: { ...w.store.transactions, prepare: () => new Promise<never>(() => undefined) },
      };
      const { ac, app } = w.service({ log: hanging });
      app.post("/orders", ac.transaction({ whenLogUnavailable: "proceed" }), ordered);
      const response = app.request("/orders", { method: "POST" });
      await settled();
      await w.clock.advance(3_000);
      expect((await response).headers.get(UNPROTECTED_HEADER)).toBe("1");
      await ac.drain();
      expect(sent(w)).toEqual(["order.paid"]);
    });

    test("a watchdog that cannot be armed is no reason to refuse", async () => {
      const w = world();
      const transport = { ...w.transport, wake: () => Promise.reject(new Error("429")) };
      const { ac, app } = w.service({ transport, recovery: { watchdog: "2m" } });
      app.post("/orders", ac.transaction({ whenLogUnavailable: "proceed" }), ordered);
      expect((await app.request("/orders", { method: "POST" })).status).toBe(201);
      await ac.drain();
      expect(sent(w)).toEqual(["order.paid"]);
    });
  });
}

describe('with whenLogUnavailable "proceed", a failure at checked', () => {
  const failed: RouteHandler = async (c) => {
    await publishOrder(c.var.tx);
    return c.text(c.var.tx.id, 500);
  };

  test("whose check says committed sends from memory, although the log is still down", async () => {
    const { w, state, order } = shopOf("checked", failed);
    state.answer = "committed";
    const transactionId = await (await order()).text();
    expect(sent(w)).toEqual(["order.paid"]);
    expect(w.of("unprotected")).toEqual([{ type: "unprotected", transactionId, deliveries: 1 }]);
  });

  test("whose check gives no verdict has lost what only memory held, and tells of it", async () => {
    const { w, order } = shopOf("checked", failed);
    const transactionId = await (await order()).text();
    expect(w.transport.calls).toEqual([]);
    expect(w.of("lost")).toEqual([{ type: "lost", transactionId, deliveries: 1 }]);
  });

  test("whose check says committed while the log is back sends what memory holds and what the log holds", async () => {
    const { w, state, order } = shopOf("checked", async (c) => {
      await publishOrder(c.var.tx, "o-1");
      state.fault = "none";
      await publishOrder(c.var.tx, "o-2");
      return c.text("no", 500);
    });
    state.answer = "committed";
    await order();
    expect(sent(w)).toHaveLength(2);
  });
});

test("a success that had been rolled back keeps what only memory held for a person, too", async () => {
  const { w, state, order } = shopOf("checked", async (c) => {
    const { tx } = c.var;
    await publishOrder(tx, "o-1");
    state.fault = "unreachable";
    await publishOrder(tx, "o-2");
    state.fault = "none";
    await w.store.transactions.decide(tx.id, "rolledBack", w.clock.now());
    return c.text("ok");
  });
  state.fault = "none";
  await order();
  expect(w.of("conflict")).toMatchObject([{ deliveries: 2 }]);
  const dead = w.store.snapshot().dead.map(([, letter]) => [letter.reason, letter.record.index]);
  expect(dead).toEqual([
    ["conflict", 0],
    ["conflict", 1],
  ]);
  expect(w.transport.calls).toEqual([]);
});

test("what goes on unprotected goes to every destination, and counts each", async () => {
  const w = world();
  const { ac, app } = w.service({
    log: faulty(w.store, () => "unreachable"),
    routes: { [orderPaid.name]: ["/consumers/receipt", ELSEWHERE] },
  });
  app.post("/orders", ac.transaction({ whenLogUnavailable: "proceed" }), ordered);
  const response = await app.request("/orders", { method: "POST" });
  await ac.drain();
  expect(response.headers.get(UNPROTECTED_HEADER)).toBe("2");
  expect(w.transport.accepted.map(({ record }) => record.destination)).toEqual([
    `${PUBLIC_URL}/consumers/receipt`,
    ELSEWHERE,
  ]);
});
