import { describe, expect, test } from "vitest";
import { AftercommitError, topic } from "aftercommit";
import type { ConfigurationError, ConfigurationProblem, PublishOptions, Topic } from "aftercommit";
import * as z from "zod/mini";
import { anything, orderPaid, settled, world } from "../../support/world.ts";

type Publication = readonly [topic: Topic, data: unknown, options?: unknown];

const cyclic: Record<string, unknown> = {};
cyclic["self"] = cyclic;
const nowhere = topic("nowhere", z.unknown());
const ok = { orderId: "o-1" };

const refused: Record<string, { readonly publication: Publication; readonly code?: string }> = {
  "data that the schema refuses": { publication: [orderPaid, { orderId: 7 }] },
  "data with a cycle": { publication: [anything, cyclic] },
  "data with a bigint": { publication: [anything, { cents: 1n }] },
  "data whose toJSON throws": {
    publication: [
      anything,
      {
        toJSON() {
          throw new Error("no");
        },
      },
    ],
  },
  "a topic without a route": { publication: [nowhere, {}], code: "ERR_UNKNOWN_TOPIC" },
  "a message that is too large": { publication: [anything, "x".repeat(1_000_000)], code: "ERR_MESSAGE_TOO_LARGE" },
  "a message whose bytes are too many": {
    publication: [anything, "€".repeat(333_334)],
    code: "ERR_MESSAGE_TOO_LARGE",
  },
  "retries below 0": { publication: [anything, 1, { retries: -1 }] },
  "retries above 100": { publication: [anything, 1, { retries: 101 }] },
  "half a retry": { publication: [anything, 1, { retries: 1.5 }] },
  "retries that are no number": { publication: [anything, 1, { retries: "3" }] },
  "a duration without a unit": { publication: [anything, 1, { delay: "30" }] },
  "a duration of another unit": { publication: [anything, 1, { timeout: "3 weeks" }] },
  "a negative duration": { publication: [anything, 1, { delay: -1 }] },
  "an endless duration": { publication: [anything, 1, { timeout: Number.POSITIVE_INFINITY }] },
  "a duration beyond the calendar": { publication: [anything, 1, { delay: "999999999999d" }] },
  "an invalid Date": { publication: [anything, 1, { notBefore: new Date("soon") }] },
  "a direction that is none": { publication: [anything, 1, { on: "Rollback" }] },
  "a retryDelay with other characters": { publication: [anything, 1, { retryDelay: "1000; drop" }] },
  "a retryDelay on two lines": { publication: [anything, 1, { retryDelay: "1000\r\nUpstash-Forward-Host: x" }] },
  "a retryDelay that ends with a line break": { publication: [anything, 1, { retryDelay: "1000\n" }] },
  "no delivery at a time": { publication: [anything, 1, { flow: { parallelism: 0 } }] },
  "half a delivery in a period": { publication: [anything, 1, { flow: { rate: 0.5 } }] },
  "limits that limit nothing": { publication: [anything, 1, { flow: {} }] },
  "a period below a second": { publication: [anything, 1, { flow: { rate: 1, period: "500ms" } }] },
  "a period above a week": { publication: [anything, 1, { flow: { rate: 1, period: "8d" } }] },
  "no queue for an order": { publication: [anything, 1, { orderKey: "a", orderQueues: 0 }] },
  "an order key that is no text": { publication: [anything, 1, { orderKey: 7 }] },
  "an order key and a delay": { publication: [anything, 1, { orderKey: "a", delay: "1m" }] },
  "an order key and a date": { publication: [anything, 1, { orderKey: "a", notBefore: new Date() }] },
  "a header with a line break": { publication: [anything, 1, { headers: { "x-a": "b\r\nx-c: d" } }] },
  "a header with a NUL": { publication: [anything, 1, { headers: { "x-a": "b\0" } }] },
  "a header beyond ASCII": { publication: [anything, 1, { headers: { "x-a": "ö" } }] },
  "a header that is no text": { publication: [anything, 1, { headers: { "x-a": 1 } }] },
  "a header name that is no token": { publication: [anything, 1, { headers: { "x a": "b" } }] },
  "an empty header name": { publication: [anything, 1, { headers: { "": "b" } }] },
  "headers that are too long together": {
    publication: [anything, 1, { headers: { "x-a": "b".repeat(5_000), "x-c": "d".repeat(5_000) } }],
  },
};
for (const name of [
  "Upstash-Forward-Host",
  "upstash-retries",
  "Aftercommit-Delivery",
  "Connection",
  "keep-alive",
  "Proxy-Authorization",
  "TE",
  "Trailer",
  "Transfer-Encoding",
  "Upgrade",
  "Host",
  "Content-Length",
  "Content-Type",
  "Authorization",
  "cookie",
  "Set-Cookie",
]) {
  refused[`the header ${name}`] = { publication: [anything, 1, { headers: { [name]: "x" } }] };
}

describe("publish refuses", () => {
  for (const [name, { publication, code = "ERR_INVALID_MESSAGE" }] of Object.entries(refused)) {
    test(`${name}, by a typed error, and keeps nothing of it`, async () => {
      const w = world();
      const { ac, app } = w.service();
      app.use("*", ac.transaction());
      const errors: unknown[] = [];
      app.post("/alone", async (c) => {
        await c.var.tx.publish(publication[0], publication[1], publication[2] as PublishOptions).catch((e: unknown) => {
          errors.push(e);
        });
        return c.text("ok");
      });
      app.post("/beside", async (c) => {
        const { tx } = c.var;
        const results = await Promise.allSettled([
          tx.publish(publication[0], publication[1], publication[2] as PublishOptions),
          tx.publish(orderPaid, ok),
        ]);
        return c.json(results.map(({ status }) => status));
      });

      await app.request("/alone", { method: "POST" });
      await ac.drain();
      expect(errors).toMatchObject([{ name: "InvalidMessageError", code, retryable: false }]);
      expect(AftercommitError.is(errors[0])).toBe(true);
      expect(w.store.snapshot()).toMatchObject({ due: [], decisions: [] });
      expect(w.events).toEqual([]);

      const beside = await app.request("/beside", { method: "POST" });
      await ac.drain();
      expect(await beside.json()).toEqual(["rejected", "fulfilled"]);
      expect(w.transport.accepted.map(({ record }) => record.topic)).toEqual(["order.paid"]);
    });
  }

  test("never puts the data into its message", async () => {
    const w = world();
    const { ac, app } = w.service();
    app.use("*", ac.transaction());
    app.onError((error, c) => c.text(String(error)));
    app.post("/", async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: { secret: "4111-1111" } as never });
      return c.text("ok");
    });
    const text = await (await app.request("/", { method: "POST" })).text();
    expect(text).toContain("orderId");
    expect(text).not.toContain("4111");
  });
});

describe("topic refuses", () => {
  const names = ["", ".a", "a b", "a/b", "a\n", "ä", "a".repeat(129), "-a"];
  for (const name of names) {
    test(`the name ${JSON.stringify(name.slice(0, 10))}`, () => {
      expect(() => topic(name, z.unknown())).toThrowError(expect.objectContaining({ code: "ERR_CONFIGURATION" }));
    });
  }
  const options: Record<string, unknown> = {
    retries: 101,
    retryDelay: "1000\n",
    timeout: "soon",
    delay: Number.NaN,
    headers: { Host: "x" },
    flow: { parallelism: 0 },
    orderQueues: 101,
  };
  for (const [name, value] of Object.entries(options)) {
    test(`an unusable ${name}, at its declaration`, () => {
      expect(() => topic("a", z.unknown(), { [name]: value })).toThrowError(
        expect.objectContaining({
          code: "ERR_CONFIGURATION",
          problems: [expect.objectContaining({ path: `topic "a".${name}` })],
        }),
      );
    });
  }

  test("everything that is wrong at once", () => {
    const wrong = { retries: -1, timeout: "x", delay: "y", headers: { "": "" } };
    let problems: readonly ConfigurationProblem[] = [];
    try {
      topic("a b", z.unknown(), wrong);
    } catch (error) {
      problems = (error as ConfigurationError).problems;
    }
    expect(problems.map(({ path }) => path)).toEqual([
      "topic",
      'topic "a b".retries',
      'topic "a b".timeout',
      'topic "a b".delay',
      'topic "a b".headers',
    ]);
  });
});

describe("how a message travels", () => {
  const travelling = topic("travelling", z.unknown(), {
    retries: 2,
    retryDelay: "1000 * pow(2, retried)",
    timeout: "30s",
    delay: "1h",
    headers: { "X-Tenant": "a", "x-kept": "1" },
  });

  async function sendOf(options?: PublishOptions): Promise<unknown> {
    const w = world();
    const { ac, app } = w.service({ routes: { travelling: "/x" } });
    app.use("*", ac.transaction());
    app.post("/", async (c) => {
      await c.var.tx.publish(travelling, 1, options);
      return c.text("ok");
    });
    await app.request("/", { method: "POST" });
    await ac.drain();
    await settled();
    return w.transport.accepted[0]!.record.send;
  }

  test("is its topic's way unless a publish says otherwise", async () => {
    const now = world().clock.now();
    expect(await sendOf()).toEqual({
      retries: 2,
      retryDelay: "1000 * pow(2, retried)",
      timeoutMillis: 30_000,
      notBefore: now + 3_600_000,
      headers: { "X-Tenant": "a", "x-kept": "1" },
    });
    expect(await sendOf({ retries: 0, timeout: 5_000, delay: "1m" })).toMatchObject({
      retries: 0,
      timeoutMillis: 5_000,
      notBefore: now + 60_000,
    });
  });

  test("is limited as its topic says", async () => {
    expect(await sendOf({ flow: { parallelism: 5 } })).toMatchObject({ flow: { parallelism: 5, periodSeconds: 1 } });
    expect(await sendOf({ flow: { rate: 100, period: "1m" } })).toMatchObject({
      flow: { rate: 100, periodSeconds: 60 },
    });
  });

  test("is through one of its topic's queues where it has a key, the same for the same key", async () => {
    const queueOf = async (orderKey: string, orderQueues: number): Promise<unknown> => {
      const { queue } = (await sendOf({ orderKey, orderQueues, delay: undefined } as never)) as {
        readonly queue: unknown;
      };
      return queue;
    };
    expect(await queueOf("a", 1)).toBe(0);
    const found = await Promise.all(["a", "b", "c", "d", "e", "f"].map((key) => queueOf(key, 4)));
    expect(found).toEqual(await Promise.all(["a", "b", "c", "d", "e", "f"].map((key) => queueOf(key, 4))));
    expect(new Set(found).size).toBeGreaterThan(1);
    for (const queue of found) expect([0, 1, 2, 3]).toContain(queue);
  });

  test("is not before a Date where one is given, whatever the topic's delay", async () => {
    const notBefore = new Date("2027-03-01T00:00:00Z");
    expect(await sendOf({ notBefore })).toMatchObject({ notBefore: notBefore.getTime() });
  });

  test("is with the publish's header in place of the topic's, whatever the case of its name", async () => {
    expect(await sendOf({ headers: { "x-tenant": "b" } })).toMatchObject({
      headers: { "x-tenant": "b", "x-kept": "1" },
    });
    expect(Object.keys(((await sendOf({ headers: { "x-tenant": "b" } })) as { headers: object }).headers)).toHaveLength(
      2,
    );
  });
});
