import { createHmac } from "node:crypto";
import { Client } from "@upstash/qstash";
import { aftercommit } from "aftercommit";
import type { AftercommitEnv, Event } from "aftercommit";
import { startDevServer } from "aftercommit/dev";
import { memoryStore } from "aftercommit/memory";
import { qstash } from "aftercommit/qstash";
import { Hono } from "hono";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod/mini";
import { compileRetryDelay } from "../../../adapters/dev/qstash/retry-expression.ts";
import { notification, notificationRoutes, notify } from "../../../src/patterns/index.ts";
import type { EndedNotification, NotificationRoutesOptions, NotifyOptions } from "../../../src/patterns/index.ts";
import { retryDelayOf } from "../../../src/patterns/schedule.ts";

const KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".padEnd(44, "A");
const SECRET = `whsec_${Buffer.from(KEY).toString("base64")}`;
const OTHER_SECRET = `whsec_${Buffer.from("the secret of another receiver, 42").toString("base64")}`;
const PARTNER = "http://127.0.0.1:4000/hooks";

const orderPaid = notification("order.paid", {
  schema: z.object({ orderId: z.string() }),
  schedule: ["1m", "5m", "30m"],
});

interface Received {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** A service that notifies, and a receiver that answers by a script; its last answer is for all that come after. */
async function start(
  answers: readonly (number | "never" | "down")[],
  options: Partial<NotificationRoutesOptions> = {},
) {
  const app = new Hono<AftercommitEnv>();
  const dev = await startDevServer({
    qstash: { fetch: async (input, init) => app.request(input, init), timeFactor: 0.00001 },
  });
  onTestFinished(() => dev.close());
  const events: Event[] = [];
  const ac = aftercommit({
    publicUrl: "http://127.0.0.1:3000",
    dev: true,
    log: memoryStore(),
    transport: qstash({ client: new Client({ baseUrl: dev.qstash.url, token: dev.qstash.token }), ...dev.qstash }),
    routes: { [orderPaid.name]: ["/notifications/order.paid"] },
    observer: { event: (event) => void events.push(event) },
  });
  const received: Received[] = [];
  const ended: EndedNotification[] = [];
  const receiver = async (url: string, init: RequestInit): Promise<Response> => {
    received.push({ url, headers: new Headers(init.headers), body: init.body as string });
    const answer = answers[Math.min(received.length, answers.length) - 1]!;
    if (answer === "never") return new Promise(() => undefined);
    if (answer === "down") throw new Error("connection refused");
    return new Response(answer === 204 ? null : "thanks", { status: answer });
  };
  app.post("/orders/:status", ac.transaction(), async (c) => {
    const { to = PARTNER, ...rest } = await c.req.json<NotifyOptions & { readonly to?: string }>();
    const { id } = await notify(c.var.tx, orderPaid, to, { orderId: "17" }, rest);
    return c.json({ id }, Number(c.req.param("status")) as 201);
  });
  app.route(
    "/notifications",
    notificationRoutes(ac, [orderPaid], {
      secrets: (to) => (to === PARTNER ? [SECRET] : [OTHER_SECRET]),
      ended: (end) => void ended.push(end),
      fetch: receiver,
      ...options,
    }),
  );
  app.route("/_aftercommit", ac.operations());
  return {
    app,
    received,
    ended,
    events,
    async order(status = 201, rest: object = {}): Promise<Response> {
      const response = await app.request(`/orders/${status}`, { method: "POST", body: JSON.stringify(rest) });
      await ac.drain();
      return response;
    },
    operator: ac.operator(),
    settled: () =>
      vi.waitFor(
        async () => {
          await dev.qstash.engine.idle();
          const { unsettled, dead } = await ac.operator().log.counts();
          expect(unsettled).toBe(0);
          return { dead };
        },
        { timeout: 10_000, interval: 10 },
      ),
  };
}

describe("a notification", () => {
  test("reaches its receiver, signed for the moment as a Standard Webhook", async () => {
    const { order, received, settled } = await start([204]);
    const { id } = (await (await order()).json()) as { readonly id: string };
    await settled();
    expect(received).toHaveLength(1);
    const [{ url, headers, body }] = received as [Received];
    expect(url).toBe(PARTNER);
    expect(JSON.parse(body)).toEqual({ type: "order.paid", timestamp: expect.any(String), data: { orderId: "17" } });
    expect(headers.get("webhook-id")).toBe(id);
    const timestamp = headers.get("webhook-timestamp")!;
    expect(Math.abs(Number(timestamp) * 1_000 - Date.now())).toBeLessThan(60_000);
    const mac = createHmac("sha256", KEY).update(`${id}.${timestamp}.${body}`).digest("base64");
    expect(headers.get("webhook-signature")).toBe(`v1,${mac}`);
  });

  test("of a request that is refused is not sent", async () => {
    const { order, received, settled } = await start([204]);
    expect((await order(422)).status).toBe(422);
    await settled();
    expect(received).toEqual([]);
  });

  test("is tried again until its receiver takes it, and not after that", async () => {
    const { order, received, settled, ended } = await start([500, "down", 302, 200, 500]);
    const { id } = (await (await order()).json()) as { readonly id: string };
    await settled();
    expect(received).toHaveLength(4);
    expect(new Set(received.map(({ headers }) => headers.get("webhook-id")))).toEqual(new Set([id]));
    expect(ended).toEqual([]);
  });

  test("ends quietly after the last attempt of its schedule: visible, and not dead", async () => {
    const { order, received, ended, events, settled } = await start([503]);
    const { id } = (await (await order()).json()) as { readonly id: string };
    expect(await settled()).toEqual({ dead: 0 });
    expect(received).toHaveLength(4);
    const end = { id, type: "order.paid", to: PARTNER, attempts: 4, found: "status 503" };
    expect(ended).toEqual([end]);
    expect(events.filter(({ type }) => type === "ended")).toEqual([
      { type: "ended", messageId: id, topic: "order.paid", attempts: 4, reason: "status 503" },
    ]);
    expect(events.filter(({ type }) => type === "dead")).toEqual([]);
  });

  test("ends at once where its receiver is gone", async () => {
    const { order, received, ended, settled } = await start([410]);
    await order();
    await settled();
    expect(received).toHaveLength(1);
    expect(ended).toMatchObject([{ attempts: 1, found: "status 410" }]);
  });

  test("may have a schedule of its own", async () => {
    const { order, received, ended, settled } = await start([500]);
    await order(201, { schedule: ["1s"] });
    await settled();
    expect(received).toHaveLength(2);
    expect(ended).toMatchObject([{ attempts: 2 }]);
  });

  test("does not wait for ever for an answer", async () => {
    const { order, ended, settled } = await start(["never"], { timeout: 5 });
    await order(201, { schedule: ["1s"] });
    await settled();
    expect(ended).toMatchObject([{ found: "no answer within 5 ms" }]);
  });

  test("is tried once more where the end could not be kept", async () => {
    let failures = 1;
    const ended: EndedNotification[] = [];
    const { order, settled } = await start([410], {
      ended(end) {
        if (failures-- > 0) throw new Error("the database is busy");
        ended.push(end);
      },
    });
    await order();
    await settled();
    expect(ended).toMatchObject([{ attempts: 2 }]);
  });

  test.each([
    "http://10.0.0.1/hooks",
    "https://printer.local/",
    "https://user:secret@example.com/",
    "http://example.com/",
  ])("to %s is not sent, and waits for a person", async (to) => {
    const { order, received, operator } = await start([204]);
    await order(201, { to });
    await vi.waitFor(async () => expect((await operator.log.counts()).dead).toBe(1), { timeout: 5_000 });
    expect(received).toEqual([]);
  });

  test("to no URL at all is refused before anything is kept", async () => {
    const { order, operator } = await start([204]);
    expect((await order(201, { to: "ftp://example.com" })).status).toBe(500);
    expect((await order(201, { to: "partner" })).status).toBe(500);
    expect(await operator.log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
  });
});

describe("a schedule", () => {
  test("becomes an expression whose waits are its own", () => {
    for (const waits of [
      [60_000, 300_000, 1_800_000, 7_200_000, 21_600_000],
      [5_000],
      [1_000, 1_000, 500_000, 2_000],
    ]) {
      const delay = compileRetryDelay(retryDelayOf(waits));
      expect(waits.map((_, retried) => delay(retried))).toEqual(waits);
    }
  });

  test.each([[[]], [["soon"]], [["10ms"]], [Array.from({ length: 9 }, (_, i) => `${i + 1}h`)]])(
    "of %j is refused at its declaration",
    (schedule) => {
      expect(() => notification("a", { schema: z.unknown(), schedule })).toThrowError(
        expect.objectContaining({ code: "ERR_CONFIGURATION" }),
      );
    },
  );
});

describe("a receiver that asks", () => {
  const about = (text: string) => (text === "17" ? { paid: true } : undefined);
  const ask = (
    app: Hono<AftercommitEnv>,
    question: object | string,
    { key = KEY, at = Date.now(), id = "q_1" } = {},
  ): Promise<Response> | Response => {
    const body = typeof question === "string" ? question : JSON.stringify(question);
    const timestamp = String(Math.floor(at / 1_000));
    const mac = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
    const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${mac}` };
    return app.request("/notifications/outcome", { method: "POST", headers, body });
  };

  test("is told what is so", async () => {
    const { app } = await start([204], { outcome: (question) => about(question.about) });
    const answer = await ask(app, { to: PARTNER, about: "17" });
    expect([answer.status, await answer.json()]).toEqual([200, { paid: true }]);
    expect((await ask(app, { to: PARTNER, about: "18" })).status).toBe(404);
  });

  test("is told nothing without the secret of its own URL, by a question of yesterday, or of another form", async () => {
    const asked = vi.fn(about);
    const { app } = await start([204], { outcome: (question) => asked(question.about) });
    const question = { to: PARTNER, about: "17" };
    expect((await ask(app, question, { key: "another" })).status).toBe(401);
    expect((await ask(app, { ...question, to: "https://other.example.com/" })).status).toBe(401);
    expect((await ask(app, question, { at: Date.now() - 86_400_000 })).status).toBe(401);
    expect((await ask(app, "what?")).status).toBe(400);
    expect((await ask(app, { to: PARTNER, about: "x".repeat(20_000) })).status).toBe(413);
    expect(asked).not.toHaveBeenCalled();
  });

  test("is told nothing where nobody may ask", async () => {
    const { app } = await start([204]);
    expect((await ask(app, { to: PARTNER, about: "17" })).status).toBe(404);
  });
});
