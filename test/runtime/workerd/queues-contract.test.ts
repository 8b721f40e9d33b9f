import { Miniflare } from "miniflare";
import { cloudflareQueues } from "aftercommit/cloudflare-queues";
import type { QueueLike, QueueSendLike } from "aftercommit/cloudflare-queues";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { decodeMessage } from "../../../adapters/cloudflare-queues/message-text.ts";
import { transportContract } from "../../../src/testing/transport-contract.ts";
import type { Arrived, TransportUnderTest } from "../../../src/testing/transport-contract.ts";
import { dispatchTo } from "../../unit/qstash/scripted-client.ts";

/** Hands what comes out of the queue to the test, and takes its word for what becomes of it. */
const SCRIPT = `export default {
  async queue(batch, env) {
    for (const message of batch.messages) {
      const { body, attempts } = message;
      const response = await env.TEST.fetch("http://test/", { method: "POST", body: JSON.stringify({ body, attempts }) });
      if ((await response.text()) === "ack") message.ack();
      else message.retry();
    }
  },
};`;

interface QueueUnderTest extends TransportUnderTest {
  readonly binding: QueueLike;
  /** Everything that came out of the queue, whatever became of it. */
  readonly delivered: readonly unknown[];
}

async function startQueue(): Promise<QueueUnderTest> {
  const delivered: unknown[] = [];
  const arrived: Arrived[] = [];
  const faults: ("unreachable" | "replyLost")[] = [];
  let expected = 0;
  let subscribers = 0;
  const take = ({ body }: { body: unknown }): "ack" | "retry" => {
    delivered.push(body);
    const found = decodeMessage(body);
    if (found.status !== "delivery" || found.delivery.destination.includes("refusing")) return "retry";
    arrived.push({ url: found.delivery.destination, body: found.delivery.body });
    return "ack";
  };
  const miniflare = new Miniflare({
    modules: true,
    script: SCRIPT,
    compatibilityDate: "2026-07-01",
    queueProducers: { ORDERS: "orders" },
    queueConsumers: { orders: { maxBatchTimeout: 0, maxRetries: 0 } },
    serviceBindings: {
      async TEST(request: { json(): Promise<unknown> }) {
        const { Response: MiniflareResponse } = await import("miniflare");
        return new MiniflareResponse(take((await request.json()) as { body: unknown }));
      },
    },
  });
  const queue = (await miniflare.getQueueProducer("ORDERS")) as unknown as QueueLike;
  const binding: QueueLike = {
    async sendBatch(messages: QueueSendLike[]) {
      const fault = faults.shift();
      if (fault === "unreachable") throw new Error("Network connection lost.");
      await queue.sendBatch(messages);
      expected += messages.length;
      if (fault === "replyLost") throw new Error("Network connection lost.");
    },
  };
  return {
    binding,
    transport: cloudflareQueues({ orders: binding }),
    deduplicates: false,
    delivered,
    accepting: async () => `queue:orders/accepting-${++subscribers}`,
    refusing: async () => `queue:orders/refusing-${++subscribers}`,
    arrived: () => arrived,
    settled: () => vi.waitFor(() => expect(delivered).toHaveLength(expected), { timeout: 15_000, interval: 10 }),
    failNext: (fault) => faults.push(fault),
    dispose: () => miniflare.dispose(),
  };
}

describe("the transport contract, over a queue's binding in workerd", () => {
  transportContract({ test }, startQueue);
});

describe("a queue's binding in workerd", () => {
  async function start(): Promise<QueueUnderTest> {
    const tested = await startQueue();
    onTestFinished(() => tested.dispose());
    return tested;
  }

  test("takes the largest message that the transport lets through", async () => {
    const tested = await start();
    const { record } = dispatchTo("queue:orders/receipt");
    const dispatch = { record, body: "x".repeat(127_900 - record.meta.length - 1) };
    expect(await tested.transport.publish([dispatch])).toEqual([{ status: "accepted", deduplicated: false }]);
    await tested.settled();
    expect(tested.arrived()).toEqual([{ url: record.destination, body: dispatch.body }]);
    const [result] = await tested.transport.publish([{ record, body: `${dispatch.body}x` }]);
    expect(result).toMatchObject({ status: "refused", code: 413 });
  });

  test("takes hundreds of messages, each of which comes once", async () => {
    const tested = await start();
    const dispatches = Array.from({ length: 250 }, (_, index) =>
      dispatchTo("queue:orders/receipt", { index }, `"${index}"`),
    );
    const results = await tested.transport.publish(dispatches);
    expect(results.every(({ status }) => status === "accepted")).toBe(true);
    await tested.settled();
    expect(
      tested
        .arrived()
        .map(({ body }) => body)
        .sort(),
    ).toEqual(dispatches.map(({ body }) => body).sort());
  });

  test("refuses what the transport knows to divide: a batch that holds one message too large", async () => {
    const tested = await start();
    const large = { body: "x".repeat(129_000), contentType: "text" as const };
    await expect(tested.binding.sendBatch([large])).rejects.toThrow(/too large|exceeds/i);
  });
});
