import { describe, expect, test, vi } from "vitest";
import type { AftercommitOptions, CheckAnswer, DispatchResult, LogStore, Transport } from "aftercommit";
import { memoryStore } from "aftercommit/memory";
import {
  anything,
  ELSEWHERE,
  faulty,
  intercepted,
  orderPaid,
  PUBLIC_URL,
  seatFreed,
  settled,
  world,
} from "../../support/world.ts";
import type { RouteHandler, ServiceUnderTest, World } from "../../support/world.ts";

const DEADLINE = 120_000;
const noAudit = { audit: false };
/** A process that dies before the transport has its messages. */
const unsent = (w: World): Partial<AftercommitOptions> => ({
  transport: { ...w.transport, publish: () => new Promise(() => undefined) },
  transportTimeout: "365d",
});

/** A service whose requests die after they have published: one route per level, and one that commits. */
function dying(w: World, overrides: Partial<AftercommitOptions> = {}): ServiceUnderTest {
  const made = w.service(overrides);
  const { ac, app } = made;
  const handler: RouteHandler = async (c) => {
    const { tx } = c.var;
    await Promise.all([
      tx.publish(orderPaid, { orderId: "o-1" }),
      tx.publish(seatFreed, { seat: "1" }, { on: "rollback" }),
    ]);
    if (c.req.query("dies") !== undefined) await new Promise(() => undefined);
    return c.text(tx.id);
  };
  app.post("/marked", ac.transaction(), handler);
  if (overrides.checks !== undefined) app.post("/checked", ac.transaction({ check: "order" }), handler);
  return made;
}

async function request({ app }: ServiceUnderTest, path: string): Promise<Response | undefined> {
  const response = Promise.resolve(app.request(`${PUBLIC_URL}${path}`, { method: "POST" }));
  if (!path.includes("dies")) return response;
  await settled();
  return undefined;
}

const sentTopics = (w: World) => w.transport.accepted.map(({ record }) => record.topic);
/** The records that are due, soonest first. */
const dueOf = (w: World) => w.store.snapshot().due.map(([, entry]) => entry);

describe("a sweep", () => {
  test("publishes what is committed and unpublished, and revokes what was registered against it", async () => {
    const w = world();
    await request(dying(w, unsent(w)), "/marked");
    await w.clock.advance(DEADLINE);
    const report = await w.service().ac.operator().sweep(noAudit);
    expect(report).toMatchObject({ claimed: 2, published: 1, held: 0 });
    expect(sentTopics(w)).toEqual(["order.paid"]);
    expect(w.of("revoked")).toHaveLength(1);
    expect(dueOf(w)).toMatchObject([{ mark: "published", record: { topic: "order.paid" } }]);
  });

  test("drops what a rollback had left", async () => {
    const w = world();
    const made = w.service({ log: faulty(w.store, (n) => (n === "transactions.record" ? "unreachable" : "none")) });
    made.app.post("/", made.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      return c.text("no", 500);
    });
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    expect(dueOf(w)).toHaveLength(1);
    await w.clock.advance(DEADLINE);
    await w.service().ac.operator().sweep(noAudit);
    expect(dueOf(w)).toEqual([]);
    expect(w.transport.calls).toEqual([]);
  });

  test("leaves alone what is not due", async () => {
    const w = world();
    const made = dying(w);
    await request(made, "/marked?dies");
    await w.clock.advance(DEADLINE - 1);
    expect(await made.ac.operator().sweep(noAudit)).toMatchObject({ claimed: 0 });
  });

  test("beside another publishes once for each deduplication id", async () => {
    const w = world();
    const made = dying(w, unsent(w));
    for (let n = 0; n < 5; n++) await request(made, "/marked");
    await w.clock.advance(DEADLINE);
    const sweepers = [1, 2, 3].map(() => w.service().ac.operator().sweep(noAudit));
    const reports = await Promise.all(sweepers);
    expect(reports.reduce((sum, { published }) => sum + published, 0)).toBe(5);
    expect(w.transport.accepted).toHaveLength(5);
    expect(w.transport.calls.flat()).toHaveLength(5);
  });

  test("that lost its lease to another cannot change what that one recorded", async () => {
    const w = world();
    const made = dying(w, unsent(w));
    await request(made, "/marked");
    await w.clock.advance(DEADLINE);
    const slow: Transport = {
      ...w.transport,
      publish: async () => {
        await w.clock.sleep(9_000);
        return [{ status: "retry", reason: "busy" }];
      },
    };
    const first = w
      .service({ transport: slow, recovery: { sweepLease: "5s" } })
      .ac.operator()
      .sweep(noAudit);
    await settled();
    await w.clock.advance(6_000);
    await w.service().ac.operator().sweep(noAudit);
    await w.clock.advance(4_000);
    await first;
    expect(dueOf(w)).toMatchObject([{ mark: "published" }]);
  });

  test("is not kept from its work by records that cannot be read", async () => {
    const w = world();
    await request(dying(w, unsent(w)), "/marked");
    await w.clock.advance(DEADLINE);
    const log: LogStore = {
      ...w.store,
      transactions: {
        ...w.store.transactions,
        claimDue: async (options) => ({
          ...(await w.store.transactions.claimDue(options)),
          undecodable: ["from a newer release"],
        }),
      },
    };
    const report = await w.service({ log }).ac.operator().sweep(noAudit);
    expect(report).toMatchObject({ published: 1, undecodable: 1 });
    expect(w.of("undecodable")).toEqual([{ type: "undecodable", record: "from a newer release" }]);
  });

  test("reaches one decided record behind 500 that nobody can decide", async () => {
    const w = world();
    const checks = { order: (): CheckAnswer => "unknown" };
    const made = dying(w, { checks });
    for (let n = 0; n < 500; n++) void made.app.request(`${PUBLIC_URL}/checked?dies`, { method: "POST" });
    await settled();
    await request(dying(w, unsent(w)), "/marked");
    await w.clock.advance(DEADLINE);
    const report = await w.service({ checks }).ac.operator().sweep(noAudit);
    expect(report).toMatchObject({ claimed: 1_002, published: 1 });
    expect(sentTopics(w)).toEqual(["order.paid"]);
  });

  test("publishes what is decided before it asks a check that hangs", async () => {
    const w = world();
    const checks = { order: () => new Promise<CheckAnswer>(() => undefined) };
    const made = dying(w, { checks });
    await request(made, "/checked?dies");
    await request(dying(w, unsent(w)), "/marked");
    await w.clock.advance(DEADLINE);
    const swept = made.ac.operator().sweep(noAudit);
    await settled();
    expect(sentTopics(w)).toEqual(["order.paid"]);
    await w.clock.advance(10_000);
    await swept;
    expect(w.of("checkFailed")).toMatchObject([{ attempt: 1, error: { name: "UnavailableError" } }]);
    expect(w.store.snapshot().decisions).toHaveLength(1);
  });

  test("rejects where the log is out of reach from the start", async () => {
    const w = world();
    const made = w.service({ log: faulty(w.store, () => "unreachable") });
    await expect(made.ac.operator().sweep()).rejects.toMatchObject({ code: "ERR_LOG_UNAVAILABLE", retryable: true });
  });

  test("only ends early where the log goes out of reach later, and the next one goes on", async () => {
    const w = world();
    const made = dying(w, unsent(w));
    for (let n = 0; n < 150; n++) await request(made, "/marked");
    await w.clock.advance(DEADLINE);
    let claims = 0;
    const log = faulty(w.store, (name) =>
      name === "transactions.claimDue" && ++claims === 2 ? "unreachable" : "none",
    );
    const report = await w.service({ log }).ac.operator().sweep(noAudit);
    expect(report).toMatchObject({ claimed: 100 });
    expect(w.of("recordFailed")).toHaveLength(1);
    await w.service().ac.operator().sweep(noAudit);
    expect(w.transport.accepted).toHaveLength(150);
  });

  for (const name of ["transactions.decisions", "transactions.record"]) {
    test(`whose log fails at ${name} leaves its claims to a later one`, async () => {
      const w = world();
      await request(dying(w, unsent(w)), "/marked");
      await w.clock.advance(DEADLINE);
      const log = faulty(w.store, (call) => (call === name ? "unreachable" : "none"));
      await w.service({ log }).ac.operator().sweep(noAudit);
      const operator = w.service().ac.operator();
      expect(await operator.sweep(noAudit)).toMatchObject({ claimed: 0 });
      await w.clock.advance(60_000);
      await operator.sweep(noAudit);
      expect(w.transport.accepted).toHaveLength(1);
      expect(dueOf(w)).toMatchObject([{ mark: "published" }]);
    });
  }

  test("ends after its time, between two batches", async () => {
    const w = world();
    const made = dying(w, unsent(w));
    for (let n = 0; n < 150; n++) await request(made, "/marked");
    await w.clock.advance(DEADLINE);
    const log = intercepted(w.store, async (call, name) => {
      if (name === "transactions.claimDue") await w.clock.advance(100);
      return call();
    });
    const report = await w
      .service({ log })
      .ac.operator()
      .sweep({ ...noAudit, maxMillis: 99 });
    expect(report).toMatchObject({ claimed: 100 });
  });
});

describe("an undecided transaction at marked", () => {
  test("is held and visible, and nothing of it is sent or dropped", async () => {
    const w = world();
    const made = dying(w);
    const operator = made.ac.operator();
    await request(made, "/marked?dies");
    await w.clock.advance(DEADLINE);
    expect(await operator.sweep(noAudit)).toMatchObject({ held: 2, published: 0 });
    expect(w.of("held")).toHaveLength(1);
    expect((await operator.log.listHeld()).items).toHaveLength(2);
    expect(await operator.log.counts()).toMatchObject({ held: 2, unsettled: 0 });
    await w.clock.advance(90 * 86_400_000);
    await operator.sweep({ audit: true });
    expect((await operator.log.listHeld()).items).toHaveLength(2);
    expect(w.transport.calls).toEqual([]);
  });

  for (const [verdict, topic] of [
    ["committed", "order.paid"],
    ["rolledBack", "seat.freed"],
  ] as const) {
    test(`is ${verdict} by a person, once`, async () => {
      const w = world();
      const made = dying(w);
      const operator = made.ac.operator();
      await request(made, "/marked?dies");
      await w.clock.advance(DEADLINE);
      await operator.sweep(noAudit);
      const [record] = (await operator.log.listHeld()).items;
      const id = record!.transactionId;
      await operator.decide(id, verdict);
      expect(sentTopics(w)).toEqual([topic]);
      expect(w.of("decided")).toMatchObject([{ verdict, by: "person" }]);
      expect(await operator.log.counts()).toMatchObject({ held: 0 });
      expect(await operator.decide(id, verdict)).toMatchObject({ verdict });
      const other = verdict === "committed" ? "rolledBack" : "committed";
      await expect(operator.decide(id, other)).rejects.toMatchObject({ name: "OperationError", code: "ERR_CONFLICT" });
      expect(sentTopics(w)).toEqual([topic]);
    });
  }

  test("that nobody knows cannot be decided", async () => {
    const w = world();
    await expect(w.service().ac.operator().decide("0197-unknown", "committed")).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
    });
    expect(w.store.snapshot().decisions).toEqual([]);
  });
});

describe("an undecided transaction with a check", () => {
  /** Sweeps each second until the check was asked `times` times; when it was. */
  async function askedAt(answer: CheckAnswer | Error, times: number, recovery: AftercommitOptions["recovery"] = {}) {
    const w = world();
    const at: number[] = [];
    const startedAt = w.clock.now();
    const checks = {
      order: () => {
        at.push(w.clock.now() - startedAt);
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
    const made = dying(w, { checks, recovery });
    const operator = made.ac.operator();
    await request(made, "/checked?dies");
    for (let n = 0; n < 20_000 && at.length < times; n++) {
      await operator.sweep(noAudit);
      if (at.length < times) await w.clock.advance(1_000);
    }
    return { w, at, operator };
  }

  test("is committed at the first yes", async () => {
    const { w, at } = await askedAt("committed", 1);
    expect(at).toEqual([DEADLINE]);
    expect(sentTopics(w)).toEqual(["order.paid"]);
  });

  test("is rolled back at the second of two spaced noes", async () => {
    const { w, at } = await askedAt("rolledBack", 2);
    expect(at).toEqual([DEADLINE, DEADLINE + 30_000]);
    expect(sentTopics(w)).toEqual(["seat.freed"]);
    expect(dueOf(w)).toHaveLength(1);
  });

  test("is committed where a yes follows a no", async () => {
    const w = world();
    const answers: CheckAnswer[] = ["rolledBack", "committed"];
    const made = dying(w, { checks: { order: () => answers.shift()! } });
    await request(made, "/checked?dies");
    await w.clock.advance(DEADLINE);
    await made.ac.operator().sweep(noAudit);
    await w.clock.advance(30_000);
    await made.ac.operator().sweep(noAudit);
    expect(sentTopics(w)).toEqual(["order.paid"]);
  });

  for (const answer of ["unknown", new Error("the database is away")] as const) {
    test(`is asked again with growing waits where the check ${answer === "unknown" ? "does not know" : "throws"}, then held`, async () => {
      const { w, at, operator } = await askedAt(answer, 6, { checkAttempts: 6 });
      const waits = at.slice(1).map((time, i) => time - at[i]!);
      for (const [n, wait] of waits.entries()) {
        expect(wait).toBeGreaterThanOrEqual(5_000 * 2 ** n);
        expect(wait).toBeLessThanOrEqual(10_000 * 2 ** n + 1_000);
      }
      expect(w.of("held")).toMatchObject([{ reason: expect.stringContaining("6 attempts") }]);
      expect(w.store.snapshot().decisions).toEqual([]);
      expect((await operator.log.listHeld()).items).toHaveLength(2);
      expect(w.of("checkFailed")).toHaveLength(answer === "unknown" ? 0 : 6);
      expect(w.transport.calls).toEqual([]);
    });
  }

  test("that only another deployment has is left for it", async () => {
    const w = world();
    await request(dying(w, { checks: { order: () => "unknown" } }), "/checked?dies");
    await w.clock.advance(DEADLINE);
    const other = w.service().ac.operator();
    for (let n = 0; n < 100; n++) {
      await other.sweep(noAudit);
      await w.clock.advance(300_000);
    }
    expect(w.of("held")).toEqual([]);
    const made = dying(w, { checks: { order: () => "committed" } });
    await made.ac.operator().sweep(noAudit);
    expect(sentTopics(w)).toEqual(["order.paid"]);
  });

  test("agrees with the request that was ahead of it", async () => {
    const w = world();
    const id = { current: "" };
    const checks = {
      order: async (transactionId: string): Promise<CheckAnswer> => {
        id.current = transactionId;
        await w.store.transactions.decide(transactionId, "rolledBack", w.clock.now());
        return "committed";
      },
    };
    const made = dying(w, { checks });
    await request(made, "/checked?dies");
    await w.clock.advance(DEADLINE);
    await made.ac.operator().sweep(noAudit);
    expect(sentTopics(w)).toEqual(["seat.freed"]);
    expect(w.of("conflict")).toMatchObject([{ transactionId: id.current }]);
  });
});

describe("a delivery that the transport does not take", () => {
  async function once(fault: Exclude<DispatchResult, { status: "accepted" }> | "unreachable" | "replyLost") {
    const w = world();
    const made = w.service();
    made.app.post("/", made.ac.transaction(), async (c) => {
      await Promise.all([c.var.tx.publish(orderPaid, { orderId: "o-1" }), c.var.tx.publish(anything, "other")]);
      return c.text("ok");
    });
    w.transport.fail(fault, { when: ({ record }) => record.topic === "order.paid" });
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    return { w, operator: made.ac.operator() };
  }

  test("is sent again with a growing wait, until it is taken", async () => {
    const { w, operator } = await once({ status: "retry", reason: "429" });
    expect(sentTopics(w)).toEqual(["anything"]);
    expect(w.of("publishFailed")).toMatchObject([{ reason: "429" }]);
    const { retryInMillis } = w.of("publishFailed")[0]!;
    expect(retryInMillis).toBeGreaterThanOrEqual(2_500);
    await w.clock.advance(retryInMillis - 1);
    await operator.sweep(noAudit);
    expect(w.transport.accepted).toHaveLength(1);
    w.transport.fail({ status: "retry", reason: "429" }, { when: ({ record }) => record.topic === "order.paid" });
    await w.clock.advance(1);
    await operator.sweep(noAudit);
    const second = w.of("publishFailed")[1]!.retryInMillis;
    expect(second).toBeGreaterThanOrEqual(5_000);
    await w.clock.advance(second);
    await operator.sweep(noAudit);
    expect(sentTopics(w)).toEqual(["anything", "order.paid"]);
  });

  test("is not sent earlier than the transport asks for", async () => {
    const { w, operator } = await once({ status: "retry", reason: "429", afterMillis: 3_600_000 });
    await w.clock.advance(3_599_999);
    await operator.sweep(noAudit);
    expect(sentTopics(w)).toEqual(["anything"]);
    await w.clock.advance(1);
    await operator.sweep(noAudit);
    expect(sentTopics(w)).toEqual(["anything", "order.paid"]);
  });

  test("is sent again where the whole call failed", async () => {
    const { w, operator } = await once("unreachable");
    expect(w.transport.accepted).toEqual([]);
    await w.clock.advance(10_000);
    await operator.sweep(noAudit);
    expect(sentTopics(w).sort()).toEqual(["anything", "order.paid"]);
  });

  test("but whose reply was lost is sent again under the same deduplication id, and counts once", async () => {
    const { w, operator } = await once("replyLost");
    await w.clock.advance(10_000);
    await operator.sweep(noAudit);
    const ids = w.transport.calls.flat().map(({ record, body }) => [record.key, record.epoch, body]);
    expect(ids).toHaveLength(3);
    expect(ids[2]).toEqual(ids[0]);
    expect(w.transport.accepted).toHaveLength(2);
    expect(w.of("published").at(-1)).toMatchObject({ deduplicated: true });
  });

  test("and never will is dead with the reason, and the others of its transaction are sent", async () => {
    const { w, operator } = await once({ status: "refused", reason: "bad destination", code: 400 });
    expect(sentTopics(w)).toEqual(["anything"]);
    expect((await operator.log.listDead()).items).toMatchObject([
      { reason: "refused", detail: "bad destination", status: 400, record: { topic: "order.paid" } },
    ]);
    expect(dueOf(w)).toHaveLength(1);
  });

  test("and never will, while the log cannot bury it, is tried again", async () => {
    const w = world();
    let reachable = false;
    const log = faulty(w.store, (name) => (name === "deadLetters.bury" && !reachable ? "unreachable" : "none"));
    const made = dying(w, { log });
    w.transport.fail({ status: "refused", reason: "bad" }, { times: 2 });
    await request(made, "/marked");
    await made.ac.drain();
    expect(dueOf(w)).toMatchObject([{ mark: "half" }]);
    reachable = true;
    await w.clock.advance(10_000);
    await made.ac.operator().sweep(noAudit);
    expect(dueOf(w)).toEqual([]);
    expect(w.store.snapshot().dead).toHaveLength(1);
  });
});

describe("a published delivery", () => {
  async function sent(overrides: Partial<AftercommitOptions> = {}) {
    const w = world();
    const made = w.service({ routes: { [orderPaid.name]: ELSEWHERE }, ...overrides });
    made.app.post("/", made.ac.transaction(), async (c) =>
      c.text((await c.var.tx.publish(orderPaid, { orderId: "1" })).id),
    );
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    const [dispatch] = w.transport.take();
    return { w, made, operator: made.ac.operator(), dispatch: dispatch! };
  }

  test("that the transport says was delivered is settled", async () => {
    const { w, operator, dispatch } = await sent();
    w.transport.markDelivered(dispatch);
    await w.clock.advance(300_000);
    expect(await operator.sweep(noAudit)).toMatchObject({ confirmed: 1 });
    expect(dueOf(w)).toEqual([]);
    expect(w.of("delivered")).toHaveLength(1);
  });

  test("that the transport says failed is dead, with its payload", async () => {
    const { w, operator, dispatch } = await sent();
    w.transport.markFailed(dispatch);
    await w.clock.advance(300_000);
    expect(await operator.sweep(noAudit)).toMatchObject({ confirmed: 0 });
    expect(dueOf(w)).toEqual([]);
    expect((await operator.log.listDead()).items).toMatchObject([
      { reason: "failed", record: { body: dispatch.record.body } },
    ]);
  });

  test("that the sweep buried before the transport told of it gets the transport's own account", async () => {
    const { w, operator, dispatch } = await sent();
    w.transport.markFailed(dispatch, { status: 418, response: "short and stout" });
    await w.clock.advance(300_000);
    await operator.sweep(noAudit);
    expect((await operator.log.listDead()).items).not.toMatchObject([{ detail: "short and stout" }]);
    await operator.sweep({ audit: true });
    expect((await operator.log.listDead()).items).toMatchObject([
      { reason: "failed", status: 418, detail: "short and stout", transportId: "dead-1" },
    ]);
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 0 });
  });

  test("that the transport says failed, though its consumer here has done it, is delivered", async () => {
    for (const separate of [false, true]) {
      const w = world();
      const overrides = separate ? { inbox: memoryStore({ clock: w.clock }) } : {};
      const made = w.service(overrides);
      made.app.post(
        "/consumers/receipt",
        made.ac.consumer(orderPaid, () => "done"),
      );
      made.app.post("/", made.ac.transaction(), async (c) => {
        await c.var.tx.publish(orderPaid, { orderId: "1" });
        return c.text("ok");
      });
      await made.app.request("/", { method: "POST" });
      await made.ac.drain();
      const [dispatch] = w.transport.take();
      expect((await w.post(made.app, dispatch!.record.destination, dispatch!.body)).status).toBe(200);
      w.transport.markFailed(dispatch!);
      await w.clock.advance(300_000);
      await made.ac.operator().sweep({ audit: true });
      expect(w.store.snapshot()).toMatchObject({ dead: [], due: [] });
    }
  });

  test("that is pending stays, is looked for less and less often, and is listed once the transport must have given up", async () => {
    const { w, operator } = await sent();
    let looks = 0;
    const outcomes = vi.spyOn(w.transport.reports, "outcomes");
    for (let hour = 0; hour < 47; hour++) {
      await w.clock.advance(3_600_000);
      await operator.sweep(noAudit);
    }
    looks = outcomes.mock.calls.length;
    expect(looks).toBeGreaterThan(5);
    expect(looks).toBeLessThan(20);
    expect((await operator.unconfirmed()).items).toEqual([]);
    await w.clock.advance(3_600_001);
    expect((await operator.unconfirmed()).items).toMatchObject([{ mark: "published" }]);
  });

  test("that is meant to wait is not unconfirmed while it does", async () => {
    const w = world();
    const made = w.service();
    made.app.post("/", made.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "1" }, { delay: "7d" });
      return c.text("ok");
    });
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    await w.clock.advance(8 * 86_400_000);
    expect((await made.ac.operator().unconfirmed()).items).toEqual([]);
    await w.clock.advance(86_400_001);
    expect((await made.ac.operator().unconfirmed()).items).toHaveLength(1);
  });

  test("whose transaction was decided late is not unconfirmed at once", async () => {
    const w = world();
    const made = dying(w);
    const operator = made.ac.operator();
    await request(made, "/marked?dies");
    await w.clock.advance(DEADLINE);
    await operator.sweep(noAudit);
    await w.clock.advance(10 * 86_400_000);
    await operator.decide(w.store.snapshot().held[0]![1].transactionId, "committed");
    expect((await operator.unconfirmed()).items).toEqual([]);
    await w.clock.advance(2 * 86_400_000 + 1);
    expect((await operator.unconfirmed()).items).toHaveLength(1);
  });

  test("is not settled where the transport cannot tell", async () => {
    const { w, operator } = await sent();
    vi.spyOn(w.transport.reports, "outcomes").mockRejectedValue(new Error("503"));
    await w.clock.advance(300_000);
    await operator.sweep(noAudit);
    expect(dueOf(w)).toMatchObject([{ mark: "published" }]);
    expect(w.of("recordFailed")).toHaveLength(1);
  });
});

describe("an audit", () => {
  test("tells when the log has lost what it held", async () => {
    const w = world();
    const marks = ["first", "first", "second"];
    const log = { ...w.store, mark: async () => marks.shift()! };
    const operator = w.service({ log }).ac.operator();
    await operator.sweep({ audit: true });
    await operator.sweep({ audit: true });
    expect(w.of("logLost")).toEqual([]);
    await operator.sweep({ audit: true });
    expect(w.of("logLost")).toHaveLength(1);
  });

  async function undeliverable() {
    const w = world();
    const made = w.service({ routes: { [orderPaid.name]: ELSEWHERE } });
    made.app.post("/", made.ac.transaction(), async (c) =>
      c.text((await c.var.tx.publish(orderPaid, { orderId: "1" })).id),
    );
    await made.app.request("/", { method: "POST" });
    await made.ac.drain();
    await w.deliver(made.app, { elsewhere: 500, report: false });
    return { w, operator: made.ac.operator() };
  }

  test("buries the transport's dead letters that the log has lost", async () => {
    const { w, operator } = await undeliverable();
    w.store.restore(memoryStore().snapshot());
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 1 });
    expect((await operator.log.listDead()).items).toMatchObject([
      { reason: "failed", status: 500, transportId: "dead-1", record: { topic: "order.paid", destination: ELSEWHERE } },
    ]);
  });

  test("tells of a dead letter once", async () => {
    const { w, operator } = await undeliverable();
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 1 });
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 0 });
    expect(w.of("dead")).toHaveLength(1);
  });

  test("does not bring back what a person redrove or discarded", async () => {
    const { w, operator } = await undeliverable();
    const letters = await w.transport.reports.deadLetters();
    await operator.sweep({ audit: true });
    const [letter] = (await operator.log.listDead()).items;
    await operator.redrive(letter!.record.key);
    vi.spyOn(w.transport.reports, "deadLetters").mockResolvedValue(letters);
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 0 });
    expect(w.store.snapshot().dead).toEqual([]);
  });

  test("leaves what is none of ours, and goes on", async () => {
    const { w, operator } = await undeliverable();
    const ours = (await w.transport.reports.deadLetters()).letters;
    const foreign = ["", "null", "{", '{"specversion":"1.0"}'].map((body) => ({ url: ELSEWHERE, body, response: "" }));
    vi.spyOn(w.transport.reports, "deadLetters")
      .mockResolvedValueOnce({ letters: foreign, cursor: "2" })
      .mockResolvedValueOnce({ letters: ours });
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 1 });
  });

  test("that fails is told, and the sweep is done all the same", async () => {
    const { w, operator } = await undeliverable();
    vi.spyOn(w.transport.reports, "deadLetters").mockRejectedValue(new Error("503"));
    expect(await operator.sweep({ audit: true })).toMatchObject({ buried: 0 });
    expect(w.of("recordFailed")).toHaveLength(1);
  });

  test("comes of itself once its time is over", async () => {
    const { w, operator } = await undeliverable();
    const looked = vi.spyOn(w.transport.reports, "deadLetters");
    await operator.sweep();
    expect(looked).not.toHaveBeenCalled();
    await w.clock.advance(600_000);
    await operator.sweep();
    expect(looked).toHaveBeenCalledOnce();
  });

  test("keeps each decision that something unsettled needs", async () => {
    const w = world();
    const made = dying(w, unsent(w));
    await request(made, "/marked");
    await w.clock.advance(90 * 86_400_000);
    const operator = w.service().ac.operator();
    await operator.sweep({ audit: true });
    expect(sentTopics(w)).toEqual(["order.paid"]);
  });
});
