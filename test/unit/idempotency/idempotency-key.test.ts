import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { ConfigurationError } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { idempotencyKey } from "aftercommit/idempotency";
import { orderPaid, seatFreed } from "../../support/world.ts";
import { DATABASES, KEY, openShop, ordering, PLACES, problemOf, scope } from "./keyed-shop.ts";
import type { Place } from "./keyed-shop.ts";

const topics = ({ w }: Place): readonly string[] => w.transport.accepted.map(({ record }) => record.topic);

describe.each(PLACES)("a request with a key (%s)", (_name, make) => {
  test("is done once, and answered again with status, headers and body", async () => {
    const place = make();
    const shop = openShop(place);
    const first = await shop.order();
    const second = await shop.order();
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(await second.text()).toBe(await first.text());
    expect(second.headers.get("x-order")).toBe("order-1");
    expect(second.headers.get("content-type")).toBe("application/json");
    expect([first, second].map(({ headers }) => headers.get("idempotency-replayed"))).toEqual([null, "true"]);
    expect(shop.runs()).toBe(1);
    expect(place.orders()).toHaveLength(1);
    expect(topics(place)).toEqual([orderPaid.name]);
  });

  test("is answered again by another process", async () => {
    const place = make();
    const first = await openShop(place).order();
    const other = openShop(place);
    const second = await other.order();
    expect(await second.text()).toBe(await first.text());
    expect(other.runs()).toBe(0);
  });

  test("that publishes nothing and runs nothing is answered again", async () => {
    const place = make();
    const shop = openShop(place, { handler: (c) => c.text("nothing to do") });
    await shop.order();
    const second = await shop.order();
    expect(await second.text()).toBe("nothing to do");
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(shop.runs()).toBe(1);
  });

  test("that writes without publishing is answered again, and settles", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        return c.json({}, 201);
      },
    });
    await shop.order();
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(shop.runs()).toBe(1);
    if (place.level.database !== undefined) {
      const row = await shop.ac.operator().log.transaction(shop.ids[0]!);
      expect([row.decision?.verdict, row.unsettled]).toEqual(["committed", []]);
    }
  });

  test("with another payload, path, query or content type is refused with 422", async () => {
    const place = make();
    const shop = openShop(place);
    await shop.order();
    const others = [
      { body: JSON.stringify({ id: "order-2" }) },
      { path: "/orders/ink" },
      { path: "/orders/paper?gift=yes" },
      { headers: { "content-type": "application/vnd.order+json" } },
    ];
    for (const other of others) {
      const refused = await shop.order(other);
      expect(refused.status, JSON.stringify(other)).toBe(422);
      expect(refused.headers.get("content-type")).toBe("application/problem+json");
      expect(await problemOf(refused)).toMatchObject({ status: 422, code: "idempotency-key-reused" });
    }
    expect(shop.runs()).toBe(1);
  });

  test("of another caller, key or method is another request", async () => {
    const place = make();
    const shop = openShop(place, { handler: (c) => c.text(c.var.tx.id) });
    await shop.order();
    await shop.order({ headers: { "x-user": "ben" } });
    await shop.order({ key: '"another"' });
    await shop.order({ method: "PUT" });
    expect(new Set(shop.ids).size).toBe(4);
  });

  test("while it is being done, is refused with 409 and Retry-After; with another payload, with 422", async () => {
    const place = make();
    let arrived = (): void => undefined;
    let leave = (): void => undefined;
    const there = new Promise<void>((resolve) => (arrived = resolve));
    const left = new Promise<void>((resolve) => (leave = resolve));
    const shop = openShop(place, {
      async handler(c, next) {
        arrived();
        await left;
        return ordering(place)(c, next) as Promise<Response>;
      },
    });
    const first = shop.request();
    await there;
    const second = await shop.request();
    expect(second.status).toBe(409);
    expect(second.headers.get("retry-after")).toBe("2");
    expect(await problemOf(second)).toMatchObject({ status: 409, code: "request-in-flight" });
    expect((await shop.request({ body: "{}" })).status).toBe(422);
    leave();
    expect((await first).status).toBe(201);
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(shop.runs()).toBe(1);
  });

  test("keeps its lease for as long as its handler runs", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c, next) {
        for (let i = 0; i < 20; i++) await place.age(5_000);
        expect((await shop.request()).status).toBe(409);
        return ordering(place)(c, next) as Promise<Response>;
      },
    });
    expect((await shop.order()).status).toBe(201);
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(place.w.clock.sleepers, "the renewals have ended").toBe(0);
  });

  test.each([
    ["answers 500", () => new Response("sorry", { status: 500 })],
    ["answers 422", () => new Response("no such article", { status: 422 })],
    [
      "throws",
      () => {
        throw new Error("sorry");
      },
    ],
  ])("that %s before its work is done anew, as another transaction", async (_what, fail) => {
    const place = make();
    let failing = true;
    const shop = openShop(place, {
      async handler(c, next) {
        await c.var.tx.publish(orderPaid, { orderId: "order-1" });
        return failing ? fail() : (ordering(place)(c, next) as Promise<Response>);
      },
    });
    const first = await shop.order();
    expect(first.status).toBeGreaterThanOrEqual(400);
    failing = false;
    const second = await shop.order();
    expect(second.status).toBe(201);
    expect(second.headers.has("idempotency-replayed")).toBe(false);
    expect(new Set(shop.ids).size).toBe(2);
    expect(place.orders()).toHaveLength(1);
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
  });

  test("that came to nothing may be made with another payload", async () => {
    const place = make();
    const shop = openShop(place, {
      handler: async (c) => c.json({}, (await c.req.json<{ id: string }>()).id === "order-1" ? 400 : 201),
    });
    expect((await shop.order()).status).toBe(400);
    expect((await shop.order({ body: JSON.stringify({ id: "order-2" }) })).status).toBe(201);
    expect((await shop.order()).status, "the first payload is another request now").toBe(422);
  });

  test("that was refused is answered again where the route keeps that refusal", async () => {
    const place = make();
    const shop = openShop(place, {
      handler: (c) => c.json({ declined: true }, 402),
      keepRefusal: (c) => c.res.status === 402,
    });
    await shop.order();
    const second = await shop.order();
    expect([second.status, second.headers.get("idempotency-replayed")]).toEqual([402, "true"]);
    expect(shop.runs()).toBe(1);
  });

  test("is a new one once it was forgotten, and its messages are no duplicates", async () => {
    const place = make();
    const shop = openShop(place, {
      retention: "1h",
      async handler(c) {
        const id = `order-${shop.runs()}`;
        await c.var.tx.publish(orderPaid, { orderId: id });
        await place.work(c.var.tx, id);
        return c.json({}, 201);
      },
      overrides: { recovery: { decisionRetention: "33d" } },
    });
    await shop.order();
    if (place.level.database === undefined) await place.age(3_600_001);
    else {
      // Kept on record as long as its row is.
      await place.age(3_600_001);
      if (!_name.includes("sqlite")) {
        expect((await shop.order()).status).toBe(409);
        await place.age(33 * 86_400_000);
      }
    }
    if (_name.includes("sqlite")) return;
    expect((await shop.order()).status).toBe(201);
    expect(new Set(shop.ids).size).toBe(2);
    const keys = place.w.transport.accepted.map(({ record }) => record.key);
    expect(new Set(keys).size).toBe(2);
  });

  test("whose answer is too large to be kept is not done again: 409 with the transaction's id", async () => {
    const place = make();
    const shop = openShop(place, {
      keptBodyLimit: 10,
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        return c.text("more than ten characters", 201);
      },
    });
    expect(await (await shop.order()).text()).toBe("more than ten characters");
    const second = await shop.order();
    expect(second.status).toBe(409);
    expect(second.headers.has("retry-after")).toBe(false);
    expect(await problemOf(second)).toMatchObject({ code: "answer-not-kept", transactionId: shop.ids[0] });
    expect((await shop.order({ body: "{}" })).status).toBe(422);
    expect(shop.runs()).toBe(1);
  });

  test("whose answer was not kept is answered by onReplay, where there is one", async () => {
    const place = make();
    const shop = openShop(place, {
      keptBodyLimit: 0,
      onReplay: (c, transactionId) => c.json({ transactionId }, 200, { "x-found": "yes" }),
    });
    await shop.order();
    const second = await shop.order();
    expect(second.status).toBe(200);
    expect(await second.json()).toEqual({ transactionId: shop.ids[0] });
    expect(second.headers.get("x-found")).toBe("yes");
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(shop.runs()).toBe(1);
  });

  test("is not done where its key cannot be remembered: 503 with Retry-After", async () => {
    const place = make();
    const broken = async (): Promise<never> => {
      throw new Error("out of reach");
    };
    const { store } = place.w;
    const database =
      place.level.database === undefined ? undefined : (place.w as unknown as { database: object }).database;
    const shop = openShop(place, {
      overrides: {
        ...("log" in place.overrides ? {} : { log: { ...store, inbox: { ...store.inbox, claim: broken } } }),
        ...(database === undefined
          ? {}
          : { databases: { main: { ...database, inbox: { claim: broken, look: broken } } as never } }),
      },
    });
    const response = await shop.order();
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await problemOf(response)).toMatchObject({ status: 503, code: "inbox-unavailable" });
    expect(shop.runs()).toBe(0);
    expect(place.w.of("background")).toHaveLength(1);
  });

  test("composes with ac.transaction() on either side of it", async () => {
    for (const side of ["before", "after"] as const) {
      const place = make();
      const { ac, app } = place.w.service(place.overrides);
      const ids: string[] = [];
      const mounted = [idempotencyKey(ac, { scope, ...place.level }), ac.transaction(place.level)] as const;
      const [outer, inner] = side === "before" ? [mounted[1], mounted[0]] : mounted;
      app.post("/orders/:kind", outer, inner, async (c, next) => {
        ids.push(c.var.tx.id);
        return ordering(place)(c, next) as Promise<Response>;
      });
      const order = () =>
        app.request("/orders/paper", { method: "POST", body: '{"id":"order-1"}', headers: { "idempotency-key": KEY } });
      const first = await order();
      await ac.drain();
      expect(first.status, side).toBe(201);
      expect(((await first.json()) as { tx: string }).tx).toBe(ids[0]);
      expect((await order()).headers.get("idempotency-replayed"), side).toBe("true");
      expect(place.orders()).toHaveLength(1);
      expect(topics(place)).toEqual([orderPaid.name]);
    }
  });

  test("mounted twice on a path is done under the outer one", async () => {
    const place = make();
    const shop = openShop(place, {
      before: (ac, app) => {
        app.use("/orders/*", idempotencyKey(ac, { scope, ...place.level }));
      },
    });
    expect((await shop.order()).status).toBe(201);
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect(shop.runs()).toBe(1);
  });
});

describe.each(DATABASES)("a request with a key whose database decides (%s)", (_name, make) => {
  test("that fails after its commit is not done again, and its failure is not given again", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        throw new Error("after the commit");
      },
    });
    expect((await shop.order()).status).toBe(500);
    const second = await shop.order();
    expect(second.status).toBe(409);
    expect(await problemOf(second)).toMatchObject({ code: "answer-not-kept", transactionId: shop.ids[0] });
    expect(shop.runs()).toBe(1);
  });

  test("that refuses after its commit is answered again with that refusal", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        return c.text("gone", 410);
      },
    });
    await shop.order();
    expect((await shop.order()).status).toBe(410);
    expect(shop.runs()).toBe(1);
  });

  test("that swallows its failed work is done anew: the status is not trusted", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c) {
        const id = shop.runs() === 1 ? "taken" : "free";
        await place.work(c.var.tx, [id][0]!).catch(() => undefined);
        return c.text(id, 201);
      },
    });
    await shop.order({ key: '"who takes it"', body: "taken" });
    const again = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, again.runs() === 1 ? "taken" : "free").catch(() => undefined);
        return c.text("fine", 201);
      },
    });
    expect((await again.order()).status).toBe(201);
    const second = await again.order();
    expect(second.headers.has("idempotency-replayed")).toBe(false);
    expect(again.runs()).toBe(2);
    expect(place.orders()).toEqual(["free", "taken"]);
  });

  test("that came to nothing is rolled back in a row under its own id before it is done anew", async () => {
    const place = make();
    const shop = openShop(place, { handler: (c) => c.text("sorry", 503) });
    await shop.order();
    await shop.order();
    const { log } = shop.ac.operator();
    const [first, second] = await Promise.all(shop.ids.map((id) => log.transaction(id)));
    expect(first!.decision?.verdict).toBe("rolledBack");
    expect(first!.unsettled).toEqual([]);
    expect(second!.decision).toBeUndefined();
  });

  test("that registered messages for a rollback sends them once, and may be done anew", async () => {
    const place = make();
    const shop = openShop(place, {
      async handler(c, next) {
        await c.var.tx.publish(seatFreed, { seat: c.var.tx.id }, { on: "rollback" });
        return shop.runs() === 1 ? c.text("sorry", 500) : (ordering(place)(c, next) as Promise<Response>);
      },
    });
    expect((await shop.order()).status).toBe(500);
    expect((await shop.order()).status).toBe(201);
    expect(topics(place)).toEqual([seatFreed.name, orderPaid.name]);
  });
});

describe("a request", () => {
  const [, make] = PLACES[2]!;

  test("without a key is refused with 400 where one is required", async () => {
    const place = make();
    const shop = openShop(place);
    const response = await shop.order({ key: undefined });
    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const found = await problemOf(response);
    expect(found).toMatchObject({ type: "about:blank", title: "Bad Request", status: 400 });
    expect(found).toMatchObject({ code: "idempotency-key-missing" });
    expect(found.detail).toMatch(/^Expected the header Idempotency-Key, found none\. Send /);
    expect(shop.runs()).toBe(0);
    expect(place.w.of("rejected")).toEqual([
      { type: "rejected", path: "/orders/paper", status: 400, reason: "idempotency-key-missing" },
    ]);
  });

  test("without a key is done as an ordinary transaction elsewhere, with nothing remembered", async () => {
    const place = make();
    const before = (place.w as unknown as { main: { snapshot(): readonly unknown[] } }).main.snapshot();
    const shop = openShop(place, { required: false, handler: (c) => c.text(c.var.tx.id) });
    expect((await shop.order({ key: undefined })).status).toBe(200);
    expect(shop.ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect((place.w as unknown as { main: { snapshot(): readonly unknown[] } }).main.snapshot()).toEqual(before);
  });

  test("that changes nothing needs no key", async () => {
    const shop = openShop(make(), { handler: (c) => c.text("list") });
    expect((await shop.order({ method: "GET", key: undefined })).status).toBe(200);
    expect((await shop.order({ method: "GET" })).headers.has("idempotency-replayed")).toBe(false);
    expect(shop.runs()).toBe(2);
  });

  test("with what is no key is refused with 400, which says what was expected, what was found and what to do", async () => {
    const shop = openShop(make());
    const response = await shop.order({ key: "8e03978e-40d5-43dd-bc93-6894a57f9324" });
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({
      code: "idempotency-key-invalid",
      detail:
        'Expected one key of 1 to 255 characters in quotes in Idempotency-Key, found "8e03978e-40d5-43dd-bc93-6894a57f9324" without quotes. Send it as "8e03978e-40d5-43dd-bc93-6894a57f9324", a String of RFC 9651.',
    });
    expect(shop.runs()).toBe(0);
  });

  test("whose key has no quotes is the same one, where that is accepted", async () => {
    const shop = openShop(make(), { acceptUnquoted: true });
    expect((await shop.order({ key: "abc" })).status).toBe(201);
    expect((await shop.order({ key: '"abc"' })).headers.get("idempotency-replayed")).toBe("true");
  });

  test("whose body is larger than what is compared is refused with 413", async () => {
    const shop = openShop(make(), { payloadLimit: 20, handler: async (c) => c.text(await c.req.text()) });
    const fits = await shop.order({ body: "x".repeat(20) });
    expect(await fits.text()).toBe("x".repeat(20));
    const refused = await shop.order({ body: "x".repeat(21), key: '"larger"' });
    expect(refused.status).toBe(413);
    expect(await problemOf(refused)).toMatchObject({ code: "payload-too-large" });
    expect(shop.runs()).toBe(1);
  });

  test("without a caller is not done: the scope is the app's mistake", async () => {
    const shop = openShop(make(), { scope: () => "" });
    expect((await shop.order()).status).toBe(500);
    expect(shop.runs()).toBe(0);
  });

  test("that sends a form again is the same one, whatever boundary it is sent with", async () => {
    const shop = openShop(make(), { handler: (c) => c.text("fine") });
    const form = (value: string): FormData => {
      const data = new FormData();
      data.set("file", new Blob([new Uint8Array([0, 255, 128, 10])]), "bytes.bin");
      data.set("name", value);
      return data;
    };
    await shop.order({ body: form("anna") });
    expect((await shop.order({ body: form("anna") })).headers.get("idempotency-replayed")).toBe("true");
    expect((await shop.order({ body: form("ben") })).status).toBe(422);
  });

  test("is compared by what the route says, where it says so", async () => {
    const shop = openShop(make(), {
      handler: (c) => c.text("fine"),
      payload: (_c, body) => (JSON.parse(new TextDecoder().decode(body)) as { id: string }).id,
    });
    await shop.order({ body: '{"id":"a","at":1}' });
    expect((await shop.order({ body: '{"id":"a","at":2}' })).status).toBe(200);
    expect((await shop.order({ body: '{"id":"b","at":1}' })).status).toBe(422);
  });

  test("whose body other middleware has read can be compared and handled", async () => {
    const shop = openShop(make(), {
      handler: async (c) => c.json(await c.req.json()),
      before: (_ac, app) => {
        app.use("/orders/*", async (c, next) => {
          await c.req.json();
          await next();
        });
      },
    });
    expect(await (await shop.order()).json()).toEqual({ id: "order-1" });
    expect((await shop.order()).headers.get("idempotency-replayed")).toBe("true");
    expect((await shop.order({ body: "{}" })).status).toBe(422);
  });

  test("leaves its raw body to the handler", async () => {
    const shop = openShop(make(), { handler: async (c) => c.text(await c.req.raw.text()) });
    expect(await (await shop.order({ body: "raw" })).text()).toBe("raw");
  });
});

describe("an answer that is given again", () => {
  const [, make] = PLACES[2]!;

  test("has its bytes, whatever they are", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const shop = openShop(make(), { handler: (c) => c.body(bytes, 200, { "content-type": "image/png" }) });
    await shop.order();
    const second = await shop.order();
    expect(new Uint8Array(await second.arrayBuffer())).toEqual(bytes);
    expect(second.headers.get("content-type")).toBe("image/png");
  });

  test.each([204, 205, 304])("has no body with status %i", async (status) => {
    const shop = openShop(make(), { handler: () => new Response(null, { status, headers: { etag: '"1"' } }) });
    await shop.order();
    const second = await shop.order();
    expect([second.status, second.body, second.headers.get("etag")]).toEqual([status, null, '"1"']);
  });

  test("keeps an empty body, a byte order mark and NUL", async () => {
    for (const text of ["", "\ufeffmark", "a\0b"]) {
      const headers = { "content-type": "text/csv" };
      const shop = openShop(make(), { handler: () => new Response(text, { headers }) });
      await shop.order();
      const second = await shop.order();
      expect(new TextDecoder("utf-8", { ignoreBOM: true }).decode(await second.arrayBuffer())).toBe(text);
      expect(second.headers.get("content-type")).toBe("text/csv");
      expect(second.headers.get("idempotency-replayed")).toBe("true");
    }
  });

  test("has neither cookies nor headers of the connection or of the first run", async () => {
    const headers = new Headers({
      "x-kept": "yes",
      connection: "close, x-hop",
      "x-hop": "1",
      "keep-alive": "timeout=5",
      "proxy-authenticate": "Basic",
      date: "Thu, 01 Jan 2026 00:00:00 GMT",
      age: "5",
      "server-timing": "db;dur=53",
      "aftercommit-undecided": "x",
      "content-length": "4",
    });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    const handler = (): Response => new Response("fine", { headers });
    const shop = openShop(make(), { handler });
    await shop.order();
    const second = await shop.order();
    expect([...second.headers.keys()].sort()).toEqual(["content-type", "idempotency-replayed", "x-kept"]);

    const asked = openShop(make(), { handler, keepHeader: (name) => name !== "x-kept" });
    await asked.order();
    const cookies = await asked.order();
    expect(cookies.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(cookies.headers.has("x-kept")).toBe(false);
    expect(cookies.headers.has("connection")).toBe(false);
  });

  test("has what other middleware sets for this request, and not what it set for the first", async () => {
    let count = 0;
    const shop = openShop(make(), {
      before: (_ac, app) => {
        app.use("*", async (c, next) => {
          count++;
          c.header("x-request-id", `request ${count}`);
          await next();
          c.header("x-after", `after ${count}`);
        });
      },
    });
    await shop.order();
    const second = await shop.order();
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.get("x-request-id")).toBe("request 2");
    expect(second.headers.get("x-after")).toBe("after 2");
    expect(await second.json()).toMatchObject({ id: "order-1" });
  });

  test("is not kept of a stream, which is not held up", async () => {
    const place = make();
    let more!: ReadableStreamDefaultController<Uint8Array>;
    let cancelled = false;
    const stream = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        start: (controller) => void (more = controller),
        cancel: () => void (cancelled = true),
      });
    const shop = openShop(place, {
      async handler(c) {
        await place.work(c.var.tx, "order-1");
        return c.body(stream());
      },
    });
    const pending = shop.request();
    await place.w.clock.advance(0);
    await place.w.clock.advance(1_000);
    const first = await pending;
    more.enqueue(new TextEncoder().encode("late"));
    more.close();
    expect(await first.text()).toBe("late");
    expect(cancelled).toBe(false);
    expect(await problemOf(await shop.order())).toMatchObject({ code: "answer-not-kept" });
  });

  test("is not kept of server-sent events, and they begin at once", async () => {
    const place = make();
    const shop = openShop(place, {
      handler: () => new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } }),
    });
    expect((await shop.order()).status).toBe(200);
    expect(await problemOf(await shop.order())).toMatchObject({ code: "answer-not-kept" });
    expect(shop.runs()).toBe(1);
  });

  test("is not kept where keepHeader throws, and the request is done all the same", async () => {
    const shop = openShop(make(), {
      keepHeader: () => {
        throw new Error("the app's mistake");
      },
    });
    expect((await shop.order()).status).toBe(201);
    expect((await shop.order()).status).toBe(409);
    expect(shop.runs()).toBe(1);
  });
});

describe("what cannot work is told when it is mounted", () => {
  const [, make] = PLACES[2]!;
  const mount = (options: object) => () => {
    const { ac } = make().w.service();
    return idempotencyKey(ac, { scope, ...options });
  };

  test.each([
    [{ retention: "soon" }, "idempotencyKey.retention"],
    [{ retention: 0 }, "idempotencyKey.retention"],
    [{ payloadLimit: -1 }, "idempotencyKey.payloadLimit"],
    [{ keptBodyLimit: 1.5 }, "idempotencyKey.keptBodyLimit"],
    [{ scope: undefined }, "idempotencyKey.scope"],
    [{ database: "other" }, "databases.other"],
    [{ check: "other" }, "checks.other"],
    [{ database: "main", whenLogUnavailable: "proceed" }, "transaction.whenLogUnavailable"],
  ])("%j", (options, path) => {
    expect(mount(options)).toThrow(ConfigurationError);
    expect(mount(options)).toThrow(path);
  });

  test("a key that would be remembered longer than its decision, with the first request", async () => {
    const shop = openShop(make(), { retention: "34d" });
    expect((await shop.order()).status).toBe(500);
    expect(shop.runs()).toBe(0);
    expect((await openShop(make(), { retention: "33d" }).order()).status).toBe(201);
  });

  test("an object that is no service of this package", () => {
    const { ac } = make().w.service();
    expect(() => idempotencyKey({ transaction: () => ac.transaction() }, { scope })).toThrow(ConfigurationError);
  });

  test("another level inside of it, with the first request", async () => {
    const place = make();
    const { ac } = place.w.service();
    const app = new Hono<AftercommitEnv>();
    let runs = 0;
    app.onError((error) => (error as unknown as { getResponse(): Response }).getResponse());
    app.post("/", idempotencyKey(ac, { scope, database: "main" }), ac.transaction(), (c) => {
      runs++;
      return c.text("fine");
    });
    const response = await app.request("/", { method: "POST", headers: { "idempotency-key": KEY } });
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: "ERR_TRANSACTION_LEVEL" } });
    expect(runs).toBe(0);
  });
});
