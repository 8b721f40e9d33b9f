import { Hono } from "hono";
import { describe, expect, test, vi } from "vitest";
import { aftercommit, FatalError, RetryableError } from "aftercommit";
import type { AftercommitOptions, ConsumerHandler, ConsumerOptions, Message } from "aftercommit";
import { memoryStore } from "aftercommit/memory";
import {
  ELSEWHERE,
  faulty,
  gate,
  intercepted,
  orderPaid,
  PUBLIC_URL,
  seatFreed,
  settled,
  world,
} from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";

const RECEIPT = `${PUBLIC_URL}/consumers/receipt`;
type Order = { orderId: string };

/** A service with one consumer and one route that publishes to it. */
function consumerOf(
  w: World,
  handler: ConsumerHandler<Order>,
  options: ConsumerOptions = {},
  overrides: Partial<AftercommitOptions> = {},
): ServiceUnderTest {
  const made = w.service(overrides);
  made.app.all("/consumers/receipt", made.ac.consumer(orderPaid, handler, options));
  made.app.post("/orders", made.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "o-1" });
    return c.text(c.var.tx.id);
  });
  return made;
}

/** The body of a message as it is delivered. */
function bodyOf(w: World, changes: Record<string, unknown> = {}): string {
  const now = new Date(w.clock.now()).toISOString();
  return JSON.stringify({
    specversion: "1.0",
    id: "message-1",
    source: "https://elsewhere.example.com/",
    type: "order.paid",
    time: now,
    decidedat: now,
    datacontenttype: "application/json",
    transactionid: "0197-tx",
    messageindex: 0,
    data: { orderId: "o-1" },
    ...changes,
  });
}

/** Publishes one message, and takes what the transport was given. */
async function published({ ac, app }: ServiceUnderTest, w: World) {
  await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
  await ac.drain();
  return w.transport.take()[0]!;
}

const untouched = () => Promise.reject(new Error("expected no call of the inbox"));

describe("what is not ours to consume", () => {
  const forgeries: Record<string, (w: World) => Promise<RequestInit> | RequestInit> = {
    "without a signature": (w) => ({ body: bodyOf(w) }),
    "signed with another secret": async (w) => ({
      body: bodyOf(w),
      headers: await w.receiver.sign(RECEIPT, bodyOf(w), { secret: "guessed" }),
    }),
    "signed for another body": async (w) => ({
      body: bodyOf(w, { id: "other" }),
      headers: await w.receiver.sign(RECEIPT, bodyOf(w)),
    }),
    "signed for another URL": async (w) => ({
      body: bodyOf(w),
      headers: await w.receiver.sign(`${RECEIPT}?x=1`, bodyOf(w)),
    }),
    "signed for the Host that the request names": async (w) => ({
      body: bodyOf(w),
      headers: new Headers([
        ...(await w.receiver.sign("https://evil.example.com/consumers/receipt", bodyOf(w))),
        ["host", "evil.example.com"],
        ["x-forwarded-host", "evil.example.com"],
      ]),
    }),
  };
  for (const [name, make] of Object.entries(forgeries)) {
    test(`${name} is answered 401 with a constant body, and the inbox is untouched`, async () => {
      const w = world();
      const handler = vi.fn();
      const { app } = consumerOf(w, handler, {}, { log: intercepted(w.store, untouched) });
      const response = await app.request("https://evil.example.com/consumers/receipt", {
        method: "POST",
        ...(await make(w)),
      });
      expect(response.status).toBe(401);
      expect(await response.text()).toBe('{"error":{"code":"unauthorized"}}');
      expect(handler).not.toHaveBeenCalled();
      expect(w.of("rejected")).toMatchObject([{ status: 401 }]);
    });
  }

  test("for another host is not taken, though its name stands at the beginning of the path", async () => {
    const w = world();
    const made = w.service();
    const handler = vi.fn();
    made.app.post("*", made.ac.consumer(orderPaid, handler));
    const headers = await w.receiver.sign("https://evil.example.net/consumers/stock", bodyOf(w));
    for (const path of ["//evil.example.net/consumers/stock", "/\\evil.example.net/consumers/stock"]) {
      const response = await made.app.request(`${PUBLIC_URL}${path}`, { method: "POST", headers, body: bodyOf(w) });
      expect(response.status).toBe(401);
    }
    expect(handler).not.toHaveBeenCalled();
  });

  test("by its method is answered 405", async () => {
    const w = world();
    const { app } = consumerOf(w, vi.fn());
    for (const method of ["GET", "PUT", "DELETE"]) expect((await app.request(RECEIPT, { method })).status).toBe(405);
  });

  test("is accepted under the next key, and that is told", async () => {
    const w = world({ nextSecret: "the next" });
    const { app } = consumerOf(w, vi.fn());
    expect((await w.post(app, RECEIPT, bodyOf(w), { secret: "the next" })).status).toBe(200);
    expect(w.of("signedByNext")).toHaveLength(1);
  });
});

describe("a body", () => {
  test("that is too large is answered 413 without reading on, whatever its Content-Length says", async () => {
    for (const length of [undefined, "1", "NaN"]) {
      const w = world();
      const { app } = consumerOf(w, vi.fn(), {}, { consumers: { bodyLimit: 2_048 }, maxMessageBytes: 1_024 });
      let chunks = 0;
      let cancelled = false;
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            chunks++;
            controller.enqueue(new Uint8Array(1_024));
          },
          cancel() {
            cancelled = true;
          },
        },
        { highWaterMark: 0 },
      );
      const headers = length === undefined ? {} : { "content-length": length };
      const response = await app.request(RECEIPT, { method: "POST", body, headers, duplex: "half" });
      expect(response.status).toBe(413);
      expect(chunks).toBeLessThanOrEqual(4);
      expect(cancelled).toBe(true);
    }
  });

  const hopeless: Record<string, (w: World) => string> = {
    "that is no JSON": () => "hello",
    "that is empty": () => "",
    "that is another JSON value": () => "[1]",
    "without an id": (w) => bodyOf(w, { id: undefined }),
    "of another topic": (w) => bodyOf(w, { type: "order.refunded" }),
    "that the schema refuses": (w) => bodyOf(w, { data: { orderId: 7 } }),
    "without data": (w) => bodyOf(w, { data: undefined }),
    "older than the inbox remembers": (w) =>
      bodyOf(w, {
        time: new Date(w.clock.now() - 35 * 86_400_000).toISOString(),
        decidedat: new Date(w.clock.now() - 34 * 86_400_000).toISOString(),
      }),
  };
  for (const [name, make] of Object.entries(hopeless)) {
    test(`${name} goes to the dead letters at once and is not claimed`, async () => {
      const w = world();
      const handler = vi.fn();
      const { app } = consumerOf(w, handler, {}, { inbox: intercepted(w.store, untouched).inbox });
      const response = await w.post(app, RECEIPT, make(w));
      expect(response.status).toBe(489);
      expect(response.headers.get("upstash-nonretryable-error")).toBe("true");
      expect(handler).not.toHaveBeenCalled();
    });
  }

  test("that is not UTF-8 goes to the dead letters, and never as other data", async () => {
    const w = world();
    const handler = vi.fn();
    const { app } = consumerOf(w, handler);
    const [before, after] = bodyOf(w).split("o-1");
    const bytes = Buffer.concat([Buffer.from(before!), Buffer.from([0xff]), Buffer.from(after!)]);
    const text = vi.spyOn(w.receiver, "verify").mockResolvedValue({
      verified: true,
      subject: RECEIPT,
      tokenId: undefined,
      signedBy: "current",
    });
    const response = await app.request(RECEIPT, { method: "POST", body: bytes });
    expect(text).toHaveBeenCalledOnce();
    expect(response.status).toBe(489);
    expect(handler).not.toHaveBeenCalled();
  });

  test("whose age counts from the later of decision and not-before is still taken", async () => {
    const w = world();
    const { app } = consumerOf(w, vi.fn());
    const at = (days: number) => new Date(w.clock.now() - days * 86_400_000).toISOString();
    expect((await w.post(app, RECEIPT, bodyOf(w, { time: at(60), decidedat: at(1) }))).status).toBe(200);
    const delayed = bodyOf(w, { id: "2", time: at(60), decidedat: at(60), notbefore: at(1) });
    expect((await w.post(app, RECEIPT, delayed)).status).toBe(200);
  });
});

describe("a delivery", () => {
  test("that succeeds is answered with the outcome, and its duplicate with the same, without running", async () => {
    const w = world();
    const handler = vi.fn(() => ({ receipt: 7 }));
    const { app } = consumerOf(w, handler);
    const first = await w.post(app, RECEIPT, bodyOf(w));
    expect([first.status, await first.json()]).toEqual([
      200,
      { status: "done", duplicate: false, outcome: { receipt: 7 } },
    ]);
    const second = await w.post(app, RECEIPT, bodyOf(w), { attempt: 2 });
    expect([second.status, await second.json()]).toEqual([
      200,
      { status: "done", duplicate: true, outcome: { receipt: 7 } },
    ]);
    expect(handler).toHaveBeenCalledOnce();
    expect(w.of("duplicate")).toHaveLength(1);
  });

  test("gives its handler the message", async () => {
    const w = world();
    const seen: Message<Order>[] = [];
    const { app } = consumerOf(w, (message) => void seen.push(message));
    await w.post(app, RECEIPT, bodyOf(w, { traceparent: "00-x", tracestate: "a=b" }), { attempt: 3 });
    expect(seen).toMatchObject([
      {
        id: "message-1",
        topic: "order.paid",
        data: { orderId: "o-1" },
        source: "https://elsewhere.example.com/",
        time: new Date(w.clock.now()),
        attempt: 3,
        traceparent: "00-x",
        tracestate: "a=b",
      },
    ]);
  });

  const kept: [unknown, unknown][] = [
    [undefined, null],
    [null, null],
    [0, 0],
    ["ö", "ö"],
    [1n, null],
    ["x".repeat(5_000), null],
  ];
  for (const [outcome, answered] of kept) {
    test(`whose handler returns ${typeof outcome} ${String(outcome).slice(0, 5)} is done`, async () => {
      const w = world();
      const { app } = consumerOf(w, () => outcome);
      const response = await w.post(app, RECEIPT, bodyOf(w));
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ outcome: answered });
    });
  }

  test("beside one that runs is asked to come again when its lease may be over", async () => {
    const w = world();
    const { passed, open } = gate();
    const handler = vi.fn(() => passed);
    const { app } = consumerOf(w, handler);
    const first = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    const second = await w.post(app, RECEIPT, bodyOf(w));
    expect(second.status).toBe(503);
    expect(second.headers.get("retry-after")).toBe("30");
    open();
    expect((await first).status).toBe(200);
    expect(handler).toHaveBeenCalledOnce();
  });

  test("of another message, or to another consumer, runs beside it", async () => {
    const w = world();
    const made = consumerOf(w, vi.fn(), { name: "receipt" });
    const other = vi.fn();
    made.app.post("/consumers/other", made.ac.consumer(orderPaid, other, { name: "other" }));
    expect((await w.post(made.app, RECEIPT, bodyOf(w))).status).toBe(200);
    expect((await w.post(made.app, `${PUBLIC_URL}/consumers/other`, bodyOf(w))).status).toBe(200);
    expect(await (await w.post(made.app, RECEIPT, bodyOf(w, { id: "2" }))).json()).toMatchObject({ duplicate: false });
    expect(other).toHaveBeenCalledOnce();
  });

  test("is known by its URL without the query where the consumer has no name", async () => {
    const w = world();
    const handler = vi.fn();
    const { app } = consumerOf(w, handler);
    await w.post(app, `${RECEIPT}?a=1`, bodyOf(w));
    expect(await (await w.post(app, `${RECEIPT}?b=2`, bodyOf(w))).json()).toMatchObject({ duplicate: true });
    expect(handler).toHaveBeenCalledOnce();
  });

  test("whose handler throws is answered 500, and the next attempt runs at once", async () => {
    const w = world();
    const handler = vi.fn().mockRejectedValueOnce(new Error("the mail server is away")).mockResolvedValue("sent");
    const { app } = consumerOf(w, handler);
    const failed = await w.post(app, RECEIPT, bodyOf(w));
    expect(failed.status).toBe(500);
    expect(failed.headers.has("retry-after")).toBe(false);
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(200);
    expect(w.of("consumeFailed")).toMatchObject([{ fatal: false }]);
  });

  const waits: [string | number | undefined, string | null][] = [
    ["90s", "90"],
    [1_500, "2"],
    [undefined, null],
    ["soon", null],
    ["999999999999d", null],
  ];
  for (const [retryAfter, header] of waits) {
    test(`whose handler asks for a retry after ${retryAfter} is answered with Retry-After ${header}`, async () => {
      const w = world();
      const { app } = consumerOf(w, () => {
        throw new RetryableError("busy", retryAfter === undefined ? {} : { retryAfter });
      });
      const response = await w.post(app, RECEIPT, bodyOf(w));
      expect(response.status).toBe(500);
      expect(response.headers.get("retry-after")).toBe(header);
    });
  }

  test("whose handler throws a FatalError is dead at once", async () => {
    const w = world();
    const { app } = consumerOf(w, () => {
      throw new FatalError("no such order");
    });
    const response = await w.post(app, RECEIPT, bodyOf(w));
    expect(response.status).toBe(489);
    expect(response.headers.get("upstash-nonretryable-error")).toBe("true");
    expect(w.of("consumeFailed")).toMatchObject([{ fatal: true }]);
  });

  test("whose handler throws a driver's error with a code and a hint is retried like any other", async () => {
    const w = world();
    const { app } = consumerOf(w, () => {
      throw Object.assign(new Error("deadlock detected"), { code: "40P01", hint: "See the server log." });
    });
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(500);
  });

  for (const [name, error] of [
    ["is out of reach", new Error("connection refused")],
    ["is a database that throws its own errors", Object.assign(new Error("x"), { code: "57P01", hint: "Wait." })],
  ] as const) {
    test(`to an inbox that ${name} is answered 503`, async () => {
      const w = world();
      const handler = vi.fn();
      const { app } = consumerOf(w, handler, {}, { inbox: intercepted(w.store, () => Promise.reject(error)).inbox });
      const response = await w.post(app, RECEIPT, bodyOf(w));
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toBe("2");
      expect(await response.json()).toEqual({ error: { code: "ERR_INBOX_UNAVAILABLE" } });
      expect(handler).not.toHaveBeenCalled();
    });
  }

  test("whose completion was written and its reply lost is a duplicate the next time", async () => {
    const w = world();
    let lost = 1;
    const log = faulty(w.store, (name) => (name === "inbox.complete" && lost-- > 0 ? "replyLost" : "none"));
    const handler = vi.fn(() => "sent");
    const { app } = consumerOf(w, handler, {}, { log });
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(503);
    expect(await (await w.post(app, RECEIPT, bodyOf(w))).json()).toMatchObject({ duplicate: true, outcome: "sent" });
    expect(handler).toHaveBeenCalledOnce();
  });
});

describe("a lease", () => {
  test("is renewed while a long handler runs", async () => {
    const w = world();
    const { passed, open } = gate();
    const handler = vi.fn(() => passed);
    const { app } = consumerOf(w, handler);
    const first = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    for (let minute = 0; minute < 5; minute++) {
      await w.clock.advance(60_000);
      expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(503);
    }
    open();
    expect((await first).status).toBe(200);
    expect(handler).toHaveBeenCalledOnce();
    expect(w.clock.sleepers).toBe(0);
  });

  test("survives two renewals that fail", async () => {
    const w = world();
    const { passed, open } = gate();
    let failing = 2;
    const log = faulty(w.store, (name) => (name === "inbox.renew" && failing-- > 0 ? "unreachable" : "none"));
    let signal: AbortSignal | undefined;
    const { app } = consumerOf(
      w,
      (message) => {
        signal = message.signal;
        return passed;
      },
      {},
      { log },
    );
    const first = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    await w.clock.advance(29_999);
    expect(signal!.aborted).toBe(false);
    await w.clock.advance(20_000);
    open();
    expect((await first).status).toBe(200);
  });

  test("that is lost aborts the message's signal, and the completion is refused", async () => {
    const w = world();
    const { passed, open } = gate();
    let signal: AbortSignal | undefined;
    const { app } = consumerOf(w, (message) => {
      signal = message.signal;
      return passed;
    });
    const first = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    w.store.restore({ ...w.store.snapshot(), inbox: [] });
    expect(signal!.aborted).toBe(false);
    await w.clock.advance(10_000);
    expect(signal!.aborted).toBe(true);
    open();
    const response = await first;
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("30");
    expect(w.of("leaseLost")).toHaveLength(1);
    expect(w.store.snapshot().inbox).toEqual([]);
  });

  test("that could not be renewed for its whole length aborts the message's signal", async () => {
    const w = world();
    const { passed, open } = gate();
    const log = faulty(w.store, (name) => (name === "inbox.renew" ? "unreachable" : "none"));
    let signal: AbortSignal | undefined;
    const runs = vi.fn((message: Message<Order>) => {
      signal ??= message.signal;
      return passed;
    });
    const { app } = consumerOf(w, runs, {}, { log });
    const first = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    await w.clock.advance(29_999);
    expect(signal!.aborted).toBe(false);
    await w.clock.advance(1);
    expect(signal!.aborted).toBe(true);
    await w.clock.advance(1);
    const second = w.post(app, RECEIPT, bodyOf(w));
    await settled();
    expect(runs).toHaveBeenCalledTimes(2);
    open();
    expect([(await first).status, (await second).status]).toEqual([503, 200]);
  });

  test("of a run that died lapses, and the retry runs", async () => {
    const w = world();
    const handler = vi
      .fn()
      .mockReturnValueOnce(new Promise(() => undefined))
      .mockResolvedValue("sent");
    const { app } = consumerOf(
      w,
      handler,
      {},
      { inbox: faulty(w.store, (n) => (n === "inbox.renew" ? "unreachable" : "none")).inbox },
    );
    void w.post(app, RECEIPT, bodyOf(w));
    await settled();
    await w.clock.advance(29_000);
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(503);
    await w.clock.advance(1_001);
    expect(await (await w.post(app, RECEIPT, bodyOf(w))).json()).toMatchObject({ duplicate: false, outcome: "sent" });
  });
});

describe("what a consumer publishes", () => {
  type Run = (message: Message<Order>, run: number) => unknown;

  /** A consumer that publishes, as its runs say; a plain inbox of its own if `separate`. */
  function chain(w: World, run: Run, separate = false) {
    let runs = 0;
    const inbox = memoryStore({ clock: w.clock });
    const overrides = separate ? { inbox: inbox.inbox } : {};
    return { ...consumerOf(w, (message) => run(message, ++runs), {}, overrides), inbox };
  }
  const sentTopics = (w: World) => w.transport.accepted.map(({ record }) => record.topic);

  for (const separate of [false, true]) {
    describe(separate ? "with an inbox of its own" : "with the log's inbox", () => {
      test("goes out once the message is done", async () => {
        const w = world();
        const { ac, app } = chain(w, (m) => m.tx.publish(seatFreed, { seat: "1" }), separate);
        expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(200);
        await ac.drain();
        const [dispatch] = w.transport.accepted;
        expect(JSON.parse(dispatch!.body)).toMatchObject({ type: "seat.freed", causationid: "message-1" });
        expect(w.of("decided")).toMatchObject([{ verdict: "committed", by: "consumer" }]);
      });

      test("is rolled back where the handler fails, and has the same id in the rerun", async () => {
        const w = world();
        const ids: string[] = [];
        const { ac, app } = chain(
          w,
          async (message, run) => {
            ids.push((await message.tx.publish(seatFreed, { seat: "1" })).id);
            ids.push((await message.tx.publish(seatFreed, { seat: "2" })).id);
            if (run === 1) throw new Error("not yet");
          },
          separate,
        );
        expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(500);
        await ac.drain();
        expect(w.transport.accepted).toEqual([]);
        expect(w.store.snapshot().due).toEqual([]);
        expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "consumer" }]);
        expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(200);
        await ac.drain();
        expect(w.transport.accepted.map(({ record }) => record.messageId)).toEqual(ids.slice(0, 2));
        expect(ids.slice(2)).toEqual(ids.slice(0, 2));
        expect(new Set(ids).size).toBe(2);
        expect(w.transport.accepted[0]!.record.transactionId).not.toBe("0197-tx");
      });

      test("is swept once the run's lease has lapsed", async () => {
        const w = world();
        const { ac, app } = chain(
          w,
          async (message) => {
            await message.tx.publish(seatFreed, { seat: "1" });
            await new Promise(() => undefined);
          },
          separate,
        );
        // The process dies: its lease is not renewed any more.
        vi.spyOn(w.clock, "sleep").mockReturnValue(new Promise(() => undefined));
        void w.post(app, RECEIPT, bodyOf(w));
        await settled();
        await w.clock.advance(120_001);
        await ac.operator().sweep({ audit: false });
        expect(w.of("decided")).toMatchObject([{ verdict: "rolledBack", by: "sweep" }]);
        expect(w.store.snapshot().due).toEqual([]);
        expect(w.transport.accepted).toEqual([]);
      });

      test("is left alone while the run holds its lease, however long it takes", async () => {
        const w = world();
        const { passed, open } = gate();
        const { ac, app } = chain(
          w,
          async (message) => {
            await message.tx.publish(seatFreed, { seat: "1" });
            await passed;
          },
          separate,
        );
        const response = w.post(app, RECEIPT, bodyOf(w));
        await settled();
        for (let minute = 0; minute < 10; minute++) {
          await w.clock.advance(60_000);
          await ac.operator().sweep({ audit: false });
        }
        expect(w.of("decided")).toEqual([]);
        open();
        expect((await response).status).toBe(200);
        await ac.drain();
        expect(sentTopics(w)).toEqual(["seat.freed"]);
      });

      test("does not go out where the lease was lost before the end", async () => {
        const w = world();
        const made = chain(
          w,
          async (message, run) => {
            await message.tx.publish(seatFreed, { seat: String(run) });
            if (run > 1) return;
            const stores = separate ? made.inbox : w.store;
            stores.restore({ ...stores.snapshot(), inbox: [] });
          },
          separate,
        );
        expect((await w.post(made.app, RECEIPT, bodyOf(w))).status).toBe(503);
        await made.ac.drain();
        await w.clock.advance(120_001);
        await made.ac.operator().sweep({ audit: false });
        // With an inbox of its own the two are not one act: what a lost run published may go out, under the ids that the rerun uses.
        expect(w.transport.accepted).toHaveLength(separate ? 1 : 0);
        expect((await w.post(made.app, RECEIPT, bodyOf(w))).status).toBe(200);
        await made.ac.drain();
        expect(new Set(w.transport.accepted.map(({ record }) => record.messageId)).size).toBe(1);
      });
    });
  }

  test("for the rollback goes out where the handler fails", async () => {
    const w = world();
    const { ac, app } = chain(w, async (message) => {
      await message.tx.publish(seatFreed, { seat: "1" }, { on: "rollback" });
      throw new FatalError("no");
    });
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(489);
    await ac.drain();
    expect(sentTopics(w)).toEqual(["seat.freed"]);
  });

  test("and was refused is not sent, though the message is done", async () => {
    const w = world();
    const log = faulty(w.store, (name) => (name === "transactions.prepare" ? "replyLost" : "none"));
    const { ac, app } = consumerOf(
      w,
      async (message) => {
        await message.tx.publish(seatFreed, { seat: "1" }).catch(() => undefined);
      },
      {},
      { log },
    );
    expect((await w.post(app, RECEIPT, bodyOf(w))).status).toBe(200);
    await ac.drain();
    await w.clock.advance(600_000);
    await ac.operator().sweep({ audit: false });
    expect(w.transport.accepted).toEqual([]);
  });

  test("lies in the shard of the message, so that one act decides both", async () => {
    for (let n = 0; n < 8; n++) {
      const w = world({ shards: 8 });
      const { ac, app } = chain(w, (m) => m.tx.publish(seatFreed, { seat: "1" }));
      await w.post(app, RECEIPT, bodyOf(w, { id: `message-${n}` }));
      await ac.drain();
      const [dispatch] = w.transport.accepted;
      expect(w.store.shardOf(dispatch!.record.transactionId)).toBe(w.store.shardOf(`message-${n}`));
    }
  });
});

describe("a completion", () => {
  test("tells a shared log that the delivery arrived, and its payload goes", async () => {
    const w = world();
    const { ac, app } = consumerOf(w, vi.fn());
    await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
    await ac.drain();
    expect(w.store.snapshot().due).toHaveLength(1);
    expect(await w.deliver(app)).toMatchObject([{ statuses: [200] }]);
    await ac.drain();
    expect(w.store.snapshot().due).toEqual([]);
    expect(w.of("delivered")).toHaveLength(1);
  });

  test("cannot settle the record of another delivery by a forged meta", async () => {
    const w = world();
    const made = consumerOf(w, vi.fn());
    const first = await published(made, w);
    const second = await published(made, w);
    const response = await w.post(made.app, RECEIPT, first.body, { meta: second.record.meta });
    expect(response.status).toBe(200);
    await made.ac.drain();
    expect(w.store.snapshot().due.map(([, { record }]) => record.key)).toContain(second.record.key);
  });

  test("survives a meta that is no record", async () => {
    const w = world();
    const { app } = consumerOf(w, vi.fn());
    for (const [n, meta] of ["{", "null", "[]", '{"v":1}', '{"__proto__":{"v":1}}', "x".repeat(10_000)].entries()) {
      expect((await w.post(app, RECEIPT, bodyOf(w, { id: String(n) }), { meta })).status).toBe(200);
    }
  });
});

describe("a consumer's name", () => {
  test("given twice in one process fails at start", () => {
    const w = world();
    const { ac } = w.service();
    ac.consumer(orderPaid, vi.fn(), { name: "stock" });
    expect(() => ac.consumer(seatFreed, vi.fn(), { name: "stock" })).toThrowError(
      expect.objectContaining({ code: "ERR_CONFIGURATION" }),
    );
  });

  for (const name of ["", "x".repeat(257)]) {
    test(`of ${name.length} characters fails at start`, () => {
      const w = world();
      const { ac } = w.service();
      expect(() => ac.consumer(orderPaid, vi.fn(), { name })).toThrowError(
        expect.objectContaining({ code: "ERR_CONFIGURATION" }),
      );
    });
  }

  test("keeps what it has done when its route moves", async () => {
    const w = world();
    const handler = vi.fn();
    const before = consumerOf(w, handler, { name: "receipt" });
    await w.post(before.app, RECEIPT, bodyOf(w));
    const after = w.service();
    after.app.post("/moved", after.ac.consumer(orderPaid, handler, { name: "receipt" }));
    expect(await (await w.post(after.app, `${PUBLIC_URL}/moved`, bodyOf(w))).json()).toMatchObject({ duplicate: true });
  });
});

describe("the URL that a signature is bound to", () => {
  const cases: [publicUrl: string, requested: string, signed: string][] = [
    ["https://shop.example.com", "http://10.0.0.7:3000/c/r", "https://shop.example.com/c/r"],
    ["https://shop.example.com/", "https://shop.example.com/c/r", "https://shop.example.com/c/r"],
    ["https://SHOP.example.com:443", "https://shop.example.com/c/r", "https://shop.example.com/c/r"],
    ["https://example.com/shop", "https://example.com/shop/c/r", "https://example.com/shop/c/r"],
    ["https://example.com/shop/", "https://example.com/shop/c/r", "https://example.com/shop/c/r"],
    ["https://example.com/shop", "http://127.0.0.1/c/r", "https://example.com/shop/c/r"],
    ["https://example.com/shop", "http://127.0.0.1/shopping/c/r", "https://example.com/shop/shopping/c/r"],
    ["https://shop.example.com", "http://x/c/r?tenant=a%20b", "https://shop.example.com/c/r?tenant=a%20b"],
  ];
  for (const [publicUrl, requested, signed] of cases) {
    test(`is ${signed} for ${requested} at ${publicUrl}`, async () => {
      const w = world();
      const ac = aftercommit({
        publicUrl,
        receiver: w.receiver,
        inbox: w.store,
        observer: { event: () => undefined },
        clock: w.clock,
      });
      const app = new Hono();
      app.post(
        "*",
        ac.consumer(orderPaid, () => "done"),
      );
      const headers = await w.receiver.sign(signed, bodyOf(w));
      expect((await app.request(requested, { method: "POST", headers, body: bodyOf(w) })).status).toBe(200);
    });
  }
});

test("a message travels from a request to its consumers, and what they refuse to the dead letters", async () => {
  const w = world();
  const routes = { [orderPaid.name]: ["/consumers/receipt", ELSEWHERE] };
  const handler = vi.fn().mockRejectedValueOnce(new Error("not yet")).mockResolvedValue("sent");
  const { ac, app } = consumerOf(w, handler, {}, { routes });
  await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
  await ac.drain();
  const delivered = await w.deliver(app, { elsewhere: 489 });
  await ac.drain();
  expect(delivered.map(({ dispatch, statuses }) => [dispatch.record.destination, statuses])).toEqual([
    [RECEIPT, [500, 200]],
    [ELSEWHERE, [489]],
  ]);
  expect((await ac.operator().log.listDead()).items).toMatchObject([
    { reason: "failed", status: 489, record: { destination: ELSEWHERE, topic: "order.paid" } },
  ]);
  expect(w.store.snapshot().due).toEqual([]);
});

test("a run is given to waitUntil where there is an execution context, so that a hang-up does not cut it off", async () => {
  const w = world();
  const { passed, open } = gate();
  const { app } = consumerOf(w, () => passed);
  const waited: Promise<unknown>[] = [];
  const context = {
    waitUntil: (promise: Promise<unknown>) => void waited.push(promise),
    passThroughOnException: () => undefined,
    props: {},
  };
  const body = bodyOf(w);
  const request = app.request(
    RECEIPT,
    { method: "POST", body, headers: await w.receiver.sign(RECEIPT, body) },
    {},
    context,
  );
  await vi.waitFor(() => expect(waited).toHaveLength(1));
  let ended = false;
  const run = waited[0]!.then(() => (ended = true));
  await settled();
  expect(ended).toBe(false);
  open();
  await run;
  expect((await request).status).toBe(200);
});
