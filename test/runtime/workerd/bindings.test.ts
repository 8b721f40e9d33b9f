import { request } from "node:http";
import { expect, onTestFinished, test, vi } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import type { QStashOptions } from "../../../adapters/dev/index.ts";
import { startRedisGate } from "./redis-gate.ts";
import { startWorker } from "./worker-process.ts";

const entry = new URL("service.ts", import.meta.url);

async function startService(qstash: QStashOptions) {
  const dev = await startDevServer({ qstash });
  onTestFinished(() => dev.close());
  const gate = await startRedisGate(dev.redis.url);
  onTestFinished(() => gate.close());
  const worker = await startWorker({ entry, dev, redisUrl: gate.url });
  onTestFinished(() => worker.stop());
  const effects = () => worker.query("select message_id as id, order_id as orderId from effects");
  return {
    ...worker,
    gate,
    effects,
    async order() {
      const response = await fetch(`${worker.url}/orders`, { method: "POST" });
      expect(response.status).toBe(201);
      return ((await response.json()) as { id: string }).id;
    },
    consumed: (effect: { id: string } | { orderId: string }) =>
      vi.waitFor(async () => expect(await effects()).toEqual([expect.objectContaining(effect)]), {
        timeout: 10_000,
        interval: 20,
      }),
  };
}

test("a service that takes its configuration from its bindings publishes, consumes and sweeps", async () => {
  const service = await startService({});
  await service.consumed({ id: await service.order() });
  await service.scheduled();
});

test("without any cron, the watchdog's call sends what was not sent after the response", async () => {
  let down = true;
  let refused = 0;
  const service = await startService({
    faults(_, { path }) {
      if (!down || path !== "/v2/batch") return undefined;
      refused++;
      return { status: 503, applied: false };
    },
  });
  const id = await service.order();
  await vi.waitFor(() => expect(refused).toBeGreaterThan(0), { timeout: 10_000, interval: 20 });
  down = false;
  await service.consumed({ id });
});

test("an order that is there in spite of an error is sent, as the check finds it in D1", async () => {
  const service = await startService({});
  expect((await fetch(`${service.url}/orders/throws`, { method: "POST" })).status).toBe(500);
  const [order] = (await service.query("select id from orders")) as readonly { readonly id: string }[];
  await service.consumed({ orderId: order!.id });
});

test("an order whose client went away before the response is sent all the same", async () => {
  const service = await startService({});
  const held = service.gate.hold();
  const client = request(`${service.url}/orders`, { method: "POST" });
  const gone = new Promise((resolve) => client.on("error", () => {}).once("close", resolve));
  client.end();
  await held;
  client.socket!.resetAndDestroy();
  await gone;
  // By the time it answers others, workerd knows that this client has gone.
  for (let i = 0; i < 5; i++) expect((await fetch(`${service.url}/nothing`)).status).toBe(404);
  service.gate.release();
  await vi.waitFor(async () => expect(await service.effects()).toHaveLength(1), { timeout: 10_000, interval: 20 });
});
