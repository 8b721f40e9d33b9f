import { Client } from "@upstash/qstash";
import { describe, expect, expectTypeOf, test } from "vitest";
import { qstash } from "../../../adapters/qstash/index.ts";
import type { QStashClientLike, QStashOptions } from "../../../adapters/qstash/index.ts";
import type { DispatchResult } from "../../../src/ports/transport.ts";
import { batchOf, dispatchTo, scriptedClient, statusError, takeAll } from "./scripted-client.ts";
import type { ScriptedClient } from "./scripted-client.ts";

const NOW = 1_800_000_000_000;
const clock = { now: () => NOW, sleep: () => Promise.resolve() };
const STOCK = "https://stock.example.com/consumers/stock";

function transportOver(client: QStashClientLike, options: Partial<QStashOptions> = {}) {
  return qstash({ client, clock, ...options });
}

/** The headers by which one message was published. */
async function headersOf(...dispatch: Parameters<typeof dispatchTo>): Promise<Readonly<Record<string, string>>> {
  const client = scriptedClient(takeAll);
  await transportOver(client).publish([dispatchTo(...dispatch)]);
  return batchOf(client.requests[0])[0]!.headers;
}

/** Publishes so many messages, to `/0`, `/1` and so on. */
function publishMany(client: ScriptedClient, count: number): Promise<readonly DispatchResult[]> {
  const dispatches = Array.from({ length: count }, (_, index) => dispatchTo(`${STOCK}/${index}`, { index }));
  return transportOver(client).publish(dispatches);
}

test("any client of the SDK fits", () => {
  expectTypeOf<Client>().toExtend<QStashClientLike>();
  expect(qstash({ client: new Client({ token: "t" }) }).problems?.({ dev: false })).toEqual([]);
});

describe("a published delivery", () => {
  test("all of them travel in one batch, in order", async () => {
    const client = scriptedClient(takeAll);
    const results = await publishMany(client, 3);
    expect(client.paths()).toEqual(["v2/batch"]);
    expect(batchOf(client.requests[0]).map(({ destination }) => destination)).toEqual([
      `${STOCK}/0`,
      `${STOCK}/1`,
      `${STOCK}/2`,
    ]);
    expect(results).toEqual(results.map(() => ({ status: "accepted", deduplicated: false })));
    expect(results).toHaveLength(3);
  });

  test("nothing is published where there is nothing", async () => {
    const client = scriptedClient(takeAll);
    expect(await transportOver(client).publish([])).toEqual([]);
    expect(client.requests).toEqual([]);
  });

  test("carries its identity, its labels and the facts, and nothing that was not asked for", async () => {
    const { record } = dispatchTo(STOCK);
    expect(await headersOf(STOCK)).toEqual({
      "Content-Type": "application/cloudevents+json",
      "Upstash-Method": "POST",
      "Upstash-Deduplication-Id": `${record.key}_0`,
      "Upstash-Label": `aftercommit,${record.key}_0`,
      "Upstash-Retries": "3",
      "Upstash-Forward-Aftercommit-Delivery": record.meta,
    });
  });

  test("travels as its topic says", async () => {
    const send = {
      retries: 5,
      retryDelay: "1000 * pow(2, retried)",
      timeoutMillis: 1_500,
      notBefore: NOW + 1_001,
      headers: { "x-trace": "abc" },
    };
    expect(await headersOf(STOCK, { send })).toMatchObject({
      "Upstash-Retries": "5",
      "Upstash-Retry-Delay": "1000 * pow(2, retried)",
      "Upstash-Timeout": "2s",
      "Upstash-Not-Before": "1800000002",
      "Upstash-Forward-x-trace": "abc",
    });
  });

  test("shares its limits with all messages of its topic", async () => {
    const flow = { parallelism: 5, rate: 100, periodSeconds: 60 };
    expect(await headersOf(STOCK, { send: { flow } })).toMatchObject({
      "Upstash-Flow-Control-Key": "aftercommit.order.paid",
      "Upstash-Flow-Control-Value": "parallelism=5,rate=100,period=60s",
    });
    expect(await headersOf(STOCK, { send: { flow: { parallelism: 1, periodSeconds: 1 } } })).toMatchObject({
      "Upstash-Flow-Control-Value": "parallelism=1",
    });
  });

  test("waits in a queue of its own topic and destination where its order matters", async () => {
    const client = scriptedClient((request) =>
      request.path[1] === "batch" ? batchOf(request).map(() => ({ error: "alone, please" })) : takeAll(request),
    );
    await transportOver(client).publish([dispatchTo(STOCK, { send: { queue: 3 } }), dispatchTo(STOCK, { index: 1 })]);
    const [ordered, other] = batchOf(client.requests[0]) as readonly { readonly queue?: string }[];
    expect(ordered!.queue).toBe("aftercommit.order.paid.0123456789abcdef.3");
    expect(other).not.toHaveProperty("queue");
    expect(client.paths()).toEqual(["v2/batch", `v2/enqueue/${ordered!.queue!}/${STOCK}`, `v2/publish/${STOCK}`]);
  });

  test("does not wait for a time that is over", async () => {
    expect(await headersOf(STOCK, { send: { notBefore: NOW } })).not.toHaveProperty("Upstash-Not-Before");
  });

  test("leaves facts behind that are too long for a header", async () => {
    const name = "Upstash-Forward-Aftercommit-Delivery";
    expect(await headersOf(STOCK, { topic: "t".repeat(5_000) })).toHaveProperty(name);
    expect(await headersOf(STOCK, { topic: "t".repeat(6_144) })).not.toHaveProperty(name);
  });

  test("names its epoch in the deduplication id, in a label and in the failure URL", async () => {
    const client = scriptedClient(takeAll);
    const { record, body } = dispatchTo(STOCK, { epoch: "e-1_x" });
    await transportOver(client, { label: "shop" }).publish([
      { record, body, failureUrl: "https://shop.example.com/failed" },
      { ...dispatchTo(STOCK), failureUrl: "https://shop.example.com/failed?tenant=a" },
    ]);
    const [redriven, first] = batchOf(client.requests[0]).map(({ headers }) => headers);
    expect(redriven).toMatchObject({
      "Upstash-Deduplication-Id": `${record.key}_e-1_x`,
      "Upstash-Label": `shop,${record.key}_e-1_x`,
      "Upstash-Failure-Callback": "https://shop.example.com/failed?epoch=e-1_x",
    });
    expect(first).toMatchObject({ "Upstash-Failure-Callback": "https://shop.example.com/failed?tenant=a&epoch=0" });
  });

  test("a failure report is retried even where the message is not", async () => {
    const client = scriptedClient(takeAll);
    const failureUrl = "https://shop.example.com/failed";
    await transportOver(client).publish([
      { ...dispatchTo(STOCK, { send: { retries: 0 } }), failureUrl },
      { ...dispatchTo(STOCK, { send: { retries: 4 } }), failureUrl },
    ]);
    const [never, often] = batchOf(client.requests[0]).map(({ headers }) => headers);
    expect(never).toMatchObject({ "Upstash-Retries": "0", "Upstash-Failure-Callback-Retries": "3" });
    expect(often).not.toHaveProperty("Upstash-Failure-Callback-Retries");
  });

  test("carries the client's own headers, but for those that it has itself", async () => {
    const client = scriptedClient(takeAll);
    const headers = new Headers({ "Upstash-Forward-x-bypass": "secret", "Upstash-Retries": "0" });
    await transportOver({ http: { ...client.http, headers } }).publish([dispatchTo(STOCK)]);
    const sent = new Headers(batchOf(client.requests[0])[0]!.headers);
    expect(sent.get("upstash-forward-x-bypass")).toBe("secret");
    expect(sent.get("upstash-retries")).toBe("3");
  });

  test("an earlier copy of ours counts as taken", async () => {
    const client = scriptedClient(() => [{ messageId: "msg_1", deduplicated: true }]);
    expect(await publishMany(client, 1)).toEqual([{ status: "accepted", deduplicated: true }]);
  });

  test("messages that exceed a batch travel in several", async () => {
    const sizes: number[] = [];
    const client = scriptedClient(({ body = "" }) => {
      sizes.push(body.length);
      return body
        .split('"destination"')
        .slice(1)
        .map(() => ({ messageId: "msg_1" }));
    });
    const body = "x".repeat(31_000_000);
    const dispatches = [0, 1, 2].map((index) => dispatchTo(STOCK, { index }, body));
    const results = await transportOver(client).publish(dispatches);
    expect(results.map(({ status }) => status)).toEqual(["accepted", "accepted", "accepted"]);
    expect(sizes).toHaveLength(2);
    for (const size of sizes) expect(size).toBeLessThan(90_000_000);
  });
});

describe("a destination that may not reach the client", () => {
  test.each([
    ["empty", ""],
    ["a path", "/consumers/stock"],
    ["another scheme", "ftp://stock.example.com/"],
    ["a URL group", "stock"],
    ["dot segments", "https://stock.example.com/../../schedules/https://evil.example"],
    ["encoded dot segments", "https://stock.example.com/%2e%2E/x"],
    ["a single dot", "https://stock.example.com/./x"],
    ["a fragment", `${STOCK}#a`],
    ["a backslash", "https://stock.example.com\\..\\x"],
    ["a line break", `${STOCK}\n`],
    ["our credentials", `${STOCK}?qstash_token=x`],
    ["configuration of QStash", `${STOCK}?a=1&Upstash-Retries=0`],
  ])("is refused without a call: %s", async (_name, destination) => {
    const client = scriptedClient(takeAll);
    const [bad, good] = await transportOver(client).publish([dispatchTo(destination), dispatchTo(`${STOCK}?a=..&b=1`)]);
    expect(bad).toMatchObject({ status: "refused", reason: expect.stringContaining("destination") as unknown });
    expect(good).toMatchObject({ status: "accepted" });
    expect(batchOf(client.requests[0])).toHaveLength(1);
    await expect(transportOver(client).wake!({ url: destination, id: "w", notBeforeSeconds: 1 })).rejects.toThrow(
      "wake",
    );
  });
});

describe("an item that a batch reports an error for", () => {
  /** The batch reports an error for `/1`; published alone it gets `answer`. */
  const oneError = (answer: () => unknown): ScriptedClient =>
    scriptedClient(({ path }) =>
      path[1] === "batch"
        ? [{ messageId: "a" }, { error: "something" }, { messageId: "c", deduplicated: true }]
        : answer(),
    );

  test("is published alone, and that answer counts", async () => {
    const client = oneError(() => ({ messageId: "b" }));
    expect(await publishMany(client, 3)).toEqual([
      { status: "accepted", deduplicated: false },
      { status: "accepted", deduplicated: false },
      { status: "accepted", deduplicated: true },
    ]);
    expect(client.paths()).toEqual(["v2/batch", `v2/publish/${STOCK}/1`]);
    expect(client.requests[1]).toMatchObject({ method: "POST", body: '{"id":"m"}' });
    expect(client.requests[1]?.headers).toMatchObject({ "Upstash-Retries": "3" });
  });

  test.each([400, 413, 422])("is refused for good by status %i", async (status) => {
    const client = oneError(() => {
      throw statusError(status, "DeduplicationId cannot contain ':'");
    });
    expect((await publishMany(client, 3))[1]).toEqual({
      status: "refused",
      reason: `QStash answered ${status}: DeduplicationId cannot contain ':'`,
      code: status,
    });
  });

  test.each([
    "invalid destination url: unable to resolve host: lookup web on 10.0.0.2:53: no such host",
    "quota maxDelay exceeded, current limit: 604800",
    "quota maxRetries exceeded",
    "Quota for messages has been exceeded",
  ])("is tried again where the refusal may pass: %s", async (said) => {
    const client = oneError(() => {
      throw statusError(400, said);
    });
    expect((await publishMany(client, 3))[1]).toEqual({ status: "retry", reason: `QStash answered 400: ${said}` });
  });

  test.each([401, 402, 403, 404, 408, 409, 412, 500, 502, 503, 504])(
    "is tried again after status %i",
    async (status) => {
      const client = oneError(() => {
        throw statusError(status);
      });
      expect((await publishMany(client, 3))[1]).toMatchObject({ status: "retry" });
    },
  );

  test("is tried again where no answer came", async () => {
    const client = oneError(() => {
      throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    });
    expect((await publishMany(client, 3))[1]).toEqual({
      status: "retry",
      reason: "no usable answer of QStash: fetch failed (connect ECONNREFUSED)",
    });
  });

  test.each([undefined, null, "ok", {}, { messageId: 7 }, []])(
    "is tried again where the answer is %j",
    async (answer) => {
      const client = oneError(() => answer);
      expect((await publishMany(client, 3))[1]).toMatchObject({ status: "retry" });
    },
  );

  test("a reason is one short line", async () => {
    const client = oneError(() => {
      throw statusError(500, `<html>\n\n${"x".repeat(10_000)}`);
    });
    const result = (await publishMany(client, 3))[1];
    expect(result).toMatchObject({ status: "retry", reason: expect.not.stringContaining("\n") as unknown });
    expect(result?.status === "retry" && result.reason.length).toBeLessThan(400);
  });
});

describe("a batch that is refused as a whole", () => {
  /** Refuses any batch with that message in it, and that message alone. */
  const refusing = (bad: string, status = 400): ScriptedClient =>
    scriptedClient((request) => {
      const { path } = request;
      const carried = path[1] === "batch" ? batchOf(request).map(({ destination }) => destination) : [path[2]];
      if (carried.includes(bad)) throw statusError(status, "invalid destination url");
      return takeAll(request);
    });

  test("sends its messages alone, so that only the one at fault is refused", async () => {
    const client = refusing(`${STOCK}/1`);
    const results = await publishMany(client, 3);
    expect(results.map(({ status }) => status)).toEqual(["accepted", "refused", "accepted"]);
    expect(client.paths()).toEqual(["v2/batch", ...[0, 1, 2].map((index) => `v2/publish/${STOCK}/${index}`)]);
  });

  test("finds the one at fault among many in few calls, few of them at a time", async () => {
    const client = refusing(`${STOCK}/321`);
    const results = await publishMany(client, 500);
    expect(results.filter(({ status }) => status === "accepted")).toHaveLength(499);
    expect(results[321]).toMatchObject({ status: "refused", code: 400 });
    expect(client.requests.length).toBeLessThan(30);
    expect(client.mostAtOnce()).toBeLessThanOrEqual(8);
  });

  test("is sent alone even with one message, as only that answer counts", async () => {
    const client = refusing(`${STOCK}/0`, 412);
    expect(await publishMany(client, 1)).toMatchObject([{ status: "retry" }]);
    expect(client.paths()).toEqual(["v2/batch", `v2/publish/${STOCK}/0`]);
  });

  test.each([401, 403, 404, 408, 409, 429, 500, 503])(
    "for no fault of a message is tried again: status %i",
    async (status) => {
      const client = scriptedClient(() => {
        throw statusError(status);
      });
      expect((await publishMany(client, 3)).map((result) => result.status)).toEqual(["retry", "retry", "retry"]);
      expect(client.requests).toHaveLength(1);
    },
  );

  test("because no answer came is tried again", async () => {
    const client = scriptedClient(() => {
      throw new TypeError("fetch failed");
    });
    const result = { status: "retry", reason: "no usable answer of QStash: fetch failed" };
    expect(await publishMany(client, 2)).toEqual([result, result]);
    expect(client.requests).toHaveLength(1);
  });

  test.each([
    ["an object", {}],
    ["nothing", undefined],
    ["too few results", [{ messageId: "a" }]],
    ["too many results", [{ messageId: "a" }, { messageId: "b" }, { messageId: "c" }]],
  ])("by an answer of another shape is tried again: %s", async (_name, answer) => {
    const client = scriptedClient(() => answer);
    expect(await publishMany(client, 2)).toMatchObject([
      { status: "retry", reason: expect.stringContaining("expected 2 results") as unknown },
      { status: "retry" },
    ]);
    expect(client.requests).toHaveLength(1);
  });

  test("by one result of another shape tries that message again", async () => {
    const client = scriptedClient(() => [{ messageId: "a" }, "b"]);
    expect((await publishMany(client, 2)).map(({ status }) => status)).toEqual(["accepted", "retry"]);
  });
});

describe("a rate limit", () => {
  test.each([
    ["seconds", { reset: "12" }, 12_000],
    ["a number of seconds", { reset: 0.5 }, 500],
    ["seconds since 1970", { reset: String(NOW / 1_000 + 60) }, 60_000],
    ["milliseconds since 1970", { reset: String(NOW + 1_500) }, 1_500],
    ["a time that is over", { reset: String(NOW / 1_000 - 60) }, 0],
    ["Retry-After before the reset", { reset: "60", retryAfter: "7" }, 7_000],
    ["more than a day", { reset: "1000000" }, 86_400_000],
  ])("says how long to wait, in %s", async (_name, fields, afterMillis) => {
    const client = scriptedClient(() => {
      throw statusError(429, "Exceeded burst rate limit", fields);
    });
    const result = { status: "retry", reason: "QStash answered 429: Exceeded burst rate limit", afterMillis };
    expect(await publishMany(client, 2)).toEqual([result, result]);
  });

  test.each([{}, { reset: null }, { reset: "" }, { reset: "soon" }, { reset: "-1" }, { reset: "Infinity" }])(
    "that does not say leaves the wait to the caller: %j",
    async (fields) => {
      const client = scriptedClient(() => {
        throw statusError(429, "no", fields);
      });
      expect((await publishMany(client, 1))[0]).not.toHaveProperty("afterMillis");
    },
  );
});

describe("a wake-up call", () => {
  const call = {
    url: "https://shop.example.com/_aftercommit/sweep",
    id: "watchdog-1",
    notBeforeSeconds: 1_800_000_060,
  };

  test("is published once for its id, later, and not as one of the messages", async () => {
    const client = scriptedClient(takeAll);
    await transportOver(client).wake!(call);
    expect(client.requests).toEqual([
      {
        path: ["v2", "publish", call.url],
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Upstash-Method": "POST",
          "Upstash-Deduplication-Id": "watchdog-1",
          "Upstash-Label": "aftercommit-wake",
          "Upstash-Not-Before": "1800000060",
          "Upstash-Retries": "5",
        },
        body: "{}",
      },
    ]);
  });

  test("that was taken before is fine", async () => {
    const client = scriptedClient(() => ({ messageId: "msg_1", deduplicated: true }));
    await expect(transportOver(client).wake!(call)).resolves.toBe(undefined);
  });

  test("rejects where it is not known to be taken", async () => {
    for (const answer of [() => ({}), () => undefined, () => Promise.reject(statusError(500))]) {
      await expect(transportOver(scriptedClient(answer)).wake!(call)).rejects.toThrow();
    }
  });
});

describe("the configuration", () => {
  test("names a client that is none and a label that cannot be one", () => {
    for (const client of [undefined, null, {}, { http: {} }]) {
      const found = qstash({ client: client as unknown as QStashClientLike }).problems?.({ dev: false });
      expect(found).toMatchObject([{ path: "qstash.client" }]);
    }
    for (const label of ["", "a,b", "ä", "a b", "x".repeat(129)]) {
      expect(transportOver(scriptedClient(takeAll), { label }).problems?.({ dev: false })).toMatchObject([
        { path: "qstash.label" },
      ]);
    }
  });
});
