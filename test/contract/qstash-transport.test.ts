import { Client } from "@upstash/qstash";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { listenOnLoopback } from "../../adapters/dev/loopback-server.ts";
import { createQStash } from "../../adapters/dev/qstash/index.ts";
import type { Fault, QStash } from "../../adapters/dev/qstash/index.ts";
import { qstash } from "../../adapters/qstash/index.ts";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { Dispatch } from "../../src/ports/transport.ts";
import { memoryTransport } from "../../src/memory/index.ts";
import { transportContract } from "../../src/testing/transport-contract.ts";
import type { Arrived, MakeTransport, TransportUnderTest } from "../../src/testing/transport-contract.ts";
import { dispatchTo } from "../unit/qstash/scripted-client.ts";

/** A request that reached a destination. */
interface Delivered extends Arrived {
  readonly headers: Headers;
}

interface QStashUnderTest extends TransportUnderTest {
  readonly engine: QStash;
  /** Everything that reached a destination, whatever became of it. */
  readonly delivered: readonly Delivered[];
  /** The next requests to the API go wrong so. */
  readonly faults: Fault[];
  /** The paths of the requests to the API. */
  readonly calls: readonly string[];
}

/** The transport, the SDK's client, HTTP, and an embedded QStash; its deliveries end in this process. */
async function startTransport(options: { readonly token?: string } = {}): Promise<QStashUnderTest> {
  // The SDK reports on the console what goes wrong.
  for (const method of ["error", "warn"] as const) vi.spyOn(console, method).mockImplementation(() => {});
  const delivered: Delivered[] = [];
  const faults: Fault[] = [];
  const calls: string[] = [];
  let destinations = 0;
  const engine = createQStash({
    allowDestinations: () => true,
    async fetch(url, init) {
      const request = new Request(url, init);
      delivered.push({ url, body: await request.text(), headers: request.headers });
      return url.includes("refusing") ? new Response("out of stock", { status: 500 }) : new Response("done");
    },
    faults(_request, call) {
      calls.push(call.path);
      return faults.shift();
    },
  });
  const server = await listenOnLoopback(engine.fetch);
  const { current, next } = engine.signingKeys();
  const token = options.token ?? engine.token;
  const client = new Client({ baseUrl: server.url, token, retry: false, enableTelemetry: false });
  return {
    transport: qstash({ client, currentSigningKey: current, nextSigningKey: next }),
    engine,
    delivered,
    faults,
    calls,
    accepting: async () => `https://accepting-${++destinations}.example.com/consumers/receipt?a=1&b=%20c`,
    refusing: async () => `https://refusing-${++destinations}.example.com/consumers/stock`,
    arrived: () => delivered.filter(({ url }) => !url.includes("refusing")).map(({ url, body }) => ({ url, body })),
    settled: () => engine.idle(),
    failNext: (fault) => faults.push({ status: "lost", applied: fault === "replyLost" }),
    async dispose() {
      await Promise.all([engine.stop(), server.close()]);
      vi.restoreAllMocks();
    },
  };
}

describe("the transport contract, over the SDK's client and HTTP", () => {
  transportContract({ test }, () => startTransport());
});

describe("the transport contract, in memory", () => {
  const makeMemory: MakeTransport = async () => {
    const transport = memoryTransport();
    const arrived: Arrived[] = [];
    let destinations = 0;
    let woken = 0;
    return {
      transport,
      accepting: async () => `https://accepting-${++destinations}.example.com/`,
      refusing: async () => `https://refusing-${++destinations}.example.com/`,
      arrived: () => arrived,
      async settled() {
        for (const dispatch of transport.take()) {
          const { destination } = dispatch.record;
          if (destination.includes("refusing")) {
            transport.markFailed(dispatch);
          } else {
            transport.markDelivered(dispatch);
            arrived.push({ url: destination, body: dispatch.body });
          }
        }
        for (const { url } of transport.wakes.slice(woken)) arrived.push({ url, body: "" });
        woken = transport.wakes.length;
      },
      failNext(fault) {
        // A fault is for one dispatch; the calls of the contract that go wrong have two.
        transport.fail(fault, { times: 2 });
      },
      dispose: async () => {},
    };
  };
  transportContract({ test }, makeMemory);
});

describe("the transport over the SDK's client, HTTP and an embedded QStash", () => {
  async function start(options?: { readonly token: string }): Promise<QStashUnderTest> {
    const tested = await startTransport(options);
    onTestFinished(() => tested.dispose());
    return tested;
  }

  async function dispatchAs(tested: QStashUnderTest, kind: "accepting" | "refusing", index = 0): Promise<Dispatch> {
    return dispatchTo(await tested[kind](), { index, send: { retries: 0 } });
  }

  test("a delivery is verified by the transport's own receiver, and carries the facts", async () => {
    const tested = await start();
    const dispatch = await dispatchAs(tested, "accepting");
    await tested.transport.publish([dispatch]);
    await tested.settled();
    const [{ url, body, headers }] = tested.delivered as [Delivered];
    const { receiver } = tested.transport;
    expect(await receiver!.verify({ url, headers, body: new TextEncoder().encode(body) })).toMatchObject({
      verified: true,
      subject: url.split("?")[0],
      signedBy: "current",
    });
    expect(receiver!.hints(headers)).toEqual({ attempt: 1, meta: dispatch.record.meta });
    expect(headers.get("content-type")).toBe("application/cloudevents+json");
  });

  test("a failure is reported to the failure URL, signed for it with its epoch, as the dead letter tells it", async () => {
    const tested = await start();
    const dispatch = await dispatchAs(tested, "refusing");
    await tested.transport.publish([{ ...dispatch, failureUrl: "https://accepting.example.com/failed" }]);
    await tested.settled();
    const [report] = tested.delivered.filter(({ url }) => url.includes("/failed")) as [Delivered];
    expect(report.url).toBe("https://accepting.example.com/failed?epoch=0");
    const { receiver, reports } = tested.transport;
    const request = { url: report.url, headers: report.headers, body: new TextEncoder().encode(report.body) };
    expect(await receiver!.verify(request)).toMatchObject({ verified: true });
    const { letters } = await reports!.deadLetters();
    expect(letters).toEqual([
      {
        transportId: expect.any(String) as string,
        url: dispatch.record.destination,
        body: dispatch.body,
        meta: dispatch.record.meta,
        epoch: "0",
        status: 500,
        response: "out of stock",
      },
    ]);
    expect(receiver!.parseFailure(report.body, new URL(report.url))).toEqual({ letter: letters[0] });
  });

  test("one item at fault is refused alone; the others arrive once", async () => {
    const tested = await start();
    const good = [await dispatchAs(tested, "accepting", 0), await dispatchAs(tested, "accepting", 2)];
    const body = "x".repeat(2 * 1024 * 1024);
    const large = dispatchTo(await tested.accepting(), { index: 1 }, body);
    const results = await tested.transport.publish([good[0]!, large, good[1]!]);
    expect(results).toEqual([
      { status: "accepted", deduplicated: false },
      { status: "refused", reason: expect.stringContaining("exceeds the limit") as string, code: 413 },
      { status: "accepted", deduplicated: false },
    ]);
    expect(tested.calls.map((path) => path.split("/", 3).join("/"))).toEqual(["/v2/batch", "/v2/publish"]);
    await tested.settled();
    expect(tested.arrived()).toHaveLength(2);
  });

  test("a batch refused as a whole goes out message by message", async () => {
    const tested = await start();
    tested.faults.push({ status: 400, applied: false });
    const dispatches = [await dispatchAs(tested, "accepting", 0), await dispatchAs(tested, "accepting", 1)];
    expect(await tested.transport.publish(dispatches)).toEqual(
      dispatches.map(() => ({ status: "accepted", deduplicated: false })),
    );
    await tested.settled();
    expect(new Set(tested.arrived().map(({ url }) => url))).toEqual(
      new Set(dispatches.map(({ record }) => record.destination)),
    );
  });

  test.each([
    ["Burst-RateLimit-Reset", { "Burst-RateLimit-Limit": "100", "Burst-RateLimit-Reset": "7" }],
    ["RateLimit-Reset", { "RateLimit-Limit": "100", "RateLimit-Reset": "7" }],
  ])("a rate limit says how long to wait: %s", async (_name, headers) => {
    const tested = await start();
    tested.faults.push({ status: 429, applied: false, headers });
    const [result] = await tested.transport.publish([await dispatchAs(tested, "accepting")]);
    expect(result).toMatchObject({ status: "retry", afterMillis: 7_000 });
  });

  test("a wrong token is tried again, and says what QStash said", async () => {
    const tested = await start({ token: "wrong" });
    const results = await tested.transport.publish([await dispatchAs(tested, "accepting")]);
    expect(results).toEqual([
      { status: "retry", reason: "QStash answered 401: unable to authenticate: invalid token" },
    ]);
  });

  test("a wake-up call's dead letter is none of the messages", async () => {
    const tested = await start();
    const url = await tested.refusing();
    tested.faults.push({ status: 500, applied: true });
    await expect(tested.transport.wake!({ url, id: "w1", notBeforeSeconds: 1 })).rejects.toThrow();
    await tested.transport.wake!({ url, id: "w1", notBeforeSeconds: 1 });
    await tested.settled();
    expect(tested.delivered).toHaveLength(1);
    expect(tested.delivered[0]?.headers.get("content-type")).toBe("application/json");
    expect(await tested.transport.reports!.deadLetters()).toEqual({ letters: [] });
  });

  test("hundreds of outcomes are told in a few questions", async () => {
    const tested = await start();
    const dispatches = await Promise.all(
      Array.from({ length: 200 }, (_, index) => dispatchAs(tested, index % 50 === 0 ? "refusing" : "accepting", index)),
    );
    await tested.transport.publish(dispatches);
    await tested.settled();
    const before = tested.calls.length;
    const outcomes = await tested.transport.reports!.outcomes(dispatches.map(({ record }) => deduplicationId(record)));
    expect([...outcomes.values()].filter((outcome) => outcome === "failed")).toHaveLength(4);
    expect([...outcomes.values()].filter((outcome) => outcome === "delivered")).toHaveLength(196);
    expect(tested.calls.length - before).toBeLessThan(11);
  });

  test("dead letters come page by page, each once", async () => {
    const tested = await start();
    const dispatches = await Promise.all(
      Array.from({ length: 120 }, (_, index) => dispatchAs(tested, "refusing", index)),
    );
    await tested.transport.publish(dispatches);
    await tested.settled();
    const first = await tested.transport.reports!.deadLetters();
    const second = await tested.transport.reports!.deadLetters(first.cursor);
    expect([first.letters.length, second.letters.length, second.cursor]).toEqual([100, 20, undefined]);
    expect(new Set([...first.letters, ...second.letters].map(({ transportId }) => transportId)).size).toBe(120);
  });
});
