import { expect, test } from "vitest";
import { cloudflareQueues } from "aftercommit/cloudflare-queues";
import { deliveryRecord } from "../../../src/model/delivery.ts";
import { simulatedClock, transportContract } from "../../../src/testing/index.ts";
import { dispatchTo } from "../qstash/scripted-client.ts";
import { decodeMessage } from "../../../adapters/cloudflare-queues/message-text.ts";
import { memoryQueue } from "./memory-queue.ts";

const ORDERS = "queue:orders/receipt";

function started() {
  const clock = simulatedClock();
  const queue = memoryQueue(clock);
  const transport = cloudflareQueues({ orders: queue }, { clock });
  return { clock, queue, transport };
}

const accepted = { status: "accepted", deduplicated: false };

transportContract({ test }, async () => {
  const { queue, transport } = started();
  let subscribers = 0;
  const arrived: { url: string; body: string }[] = [];
  return {
    transport,
    deduplicates: false,
    accepting: async () => `queue:orders/accepting-${++subscribers}`,
    refusing: async () => `queue:orders/refusing-${++subscribers}`,
    arrived: () => arrived,
    async settled() {
      await queue.deliver(async ({ messages }) => {
        for (const message of messages) {
          const found = decodeMessage(message.body);
          if (found.status !== "delivery") throw new Error(`expected a delivery, found ${found.reason}`);
          const { destination: url, body } = found.delivery;
          if (!url.includes("refusing")) arrived.push({ url, body });
          message.ack();
        }
      });
    },
    failNext: (fault) => queue.fail(new Error("Network connection lost."), { applied: fault === "replyLost" }),
    dispose: async () => {},
  };
});

test("a hundred and one messages go out in two batches, in order", async () => {
  const { queue, transport } = started();
  const dispatches = Array.from({ length: 101 }, (_, index) => dispatchTo(ORDERS, { index }, `{"n":${index}}`));
  expect(await transport.publish(dispatches)).toEqual(dispatches.map(() => accepted));
  expect(queue.calls.map((batch) => batch.length)).toEqual([100, 1]);
  expect(queue.messages.map(({ body }) => String(body).split("\n")[1])).toEqual(dispatches.map(({ body }) => body));
});

test("no batch is larger than a queue takes", async () => {
  const { queue, transport } = started();
  const dispatches = Array.from({ length: 7 }, (_, index) => dispatchTo(ORDERS, { index }, "ä".repeat(50_000)));
  expect(await transport.publish(dispatches)).toEqual(dispatches.map(() => accepted));
  expect(queue.calls.map((batch) => batch.length)).toEqual([2, 2, 2, 1]);
});

test("a message larger than a queue takes is refused alone, and the others go out", async () => {
  const { queue, transport } = started();
  const results = await transport.publish([
    dispatchTo(ORDERS, { index: 0 }, "{}"),
    dispatchTo(ORDERS, { index: 1 }, "x".repeat(128_000)),
  ]);
  expect(results).toEqual([
    accepted,
    { status: "refused", code: 413, reason: expect.stringContaining("more than") as string },
  ]);
  expect(queue.messages).toHaveLength(1);
});

test("what a queue cannot take is known before anything is kept of it", () => {
  const { transport } = started();
  expect(transport.refusal!(dispatchTo(ORDERS, {}, "{}").record)).toBeUndefined();
  const { meta: _meta, key: _key, body: _body, ...facts } = dispatchTo(ORDERS, {}, "{}").record;
  expect(transport.refusal!(deliveryRecord(facts, "x".repeat(127_500)))).toMatchObject({
    code: "ERR_MESSAGE_TOO_LARGE",
    found: expect.stringContaining("more than the 127900") as string,
  });
  for (const send of [{ queue: 0 }, { flow: { periodSeconds: 1, rate: 1 } }])
    expect(transport.refusal!(dispatchTo(ORDERS, { send }, "{}").record)).toMatchObject({
      hint: expect.stringContaining("queue") as string,
    });
});

test("a batch that is refused for one message is divided until that one stands alone", async () => {
  const clock = simulatedClock();
  const taken: string[] = [];
  const calls: number[] = [];
  const transport = cloudflareQueues(
    {
      orders: {
        async sendBatch(messages) {
          calls.push(messages.length);
          if (messages.some(({ body }) => body.includes("poison")))
            throw new Error("Queue sendBatch failed: Bad Request");
          taken.push(...messages.map(({ body }) => body));
        },
      },
    },
    { clock },
  );
  const dispatches = Array.from({ length: 8 }, (_, index) =>
    dispatchTo(ORDERS, { index }, index === 5 ? '{"poison":true}' : "{}"),
  );
  const results = await transport.publish(dispatches);
  expect(results.map(({ status }) => status)).toEqual(dispatches.map((_, i) => (i === 5 ? "refused" : "accepted")));
  expect(taken).toHaveLength(7);
  expect(calls).toEqual([8, 4, 4, 2, 1, 1, 2]);
});

test.each([
  "Queue sendBatch failed: Too Many Requests",
  "Queue sendBatch failed: Storage Limit Exceeded",
  "Network connection lost.",
])("a batch that is not taken is to be sent again, each message of it: %s", async (message) => {
  const { queue, transport } = started();
  queue.fail(new Error(message));
  const results = await transport.publish([dispatchTo(ORDERS, { index: 0 }), dispatchTo(ORDERS, { index: 1 })]);
  expect(results).toEqual([0, 1].map(() => ({ status: "retry", reason: `the queue answered: ${message}` })));
  expect(queue.messages).toEqual([]);
});

test("one queue that does not answer keeps nothing from another", async () => {
  const { queue, transport: _transport, clock } = started();
  const transport = cloudflareQueues(
    { orders: queue, broken: { sendBatch: () => Promise.reject(new Error("internal error")) } },
    { clock },
  );
  const results = await transport.publish([
    dispatchTo("queue:broken/a"),
    dispatchTo(ORDERS),
    dispatchTo("queue:gone/a"),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["retry", "accepted", "retry"]);
});

test("a delay is the queue's own, rounded up to whole seconds", async () => {
  const { clock, queue, transport } = started();
  await transport.publish([dispatchTo(ORDERS, { send: { notBefore: clock.now() + 1_001 } })]);
  expect(queue.calls[0]![0]!.delaySeconds).toBe(2);
  await transport.publish([dispatchTo(ORDERS, { send: { notBefore: clock.now() - 5_000 } })]);
  expect(queue.calls[1]![0]!.delaySeconds).toBeUndefined();
});

test("what must wait for longer than a queue can keep it back is asked for again when the queue can", async () => {
  const { clock, queue, transport } = started();
  const dispatch = dispatchTo(ORDERS, { send: { notBefore: clock.now() + 43_200_000 + 60_000 } });
  expect(await transport.publish([dispatch])).toEqual([
    { status: "retry", reason: expect.any(String) as string, afterMillis: 60_000 },
  ]);
  expect(queue.calls).toEqual([]);
  await clock.advance(60_000);
  expect(await transport.publish([dispatch])).toEqual([accepted]);
  expect(queue.calls[0]![0]!.delaySeconds).toBe(43_200);
});
