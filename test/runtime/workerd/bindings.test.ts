import { expect, onTestFinished, test, vi } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import type { QStashOptions } from "../../../adapters/dev/index.ts";
import { startWorker } from "./worker-process.ts";

const entry = new URL("service.ts", import.meta.url);

async function startService(qstash: QStashOptions) {
  const dev = await startDevServer({ qstash });
  onTestFinished(() => dev.close());
  const worker = await startWorker({ entry, dev });
  onTestFinished(() => worker.stop());
  return {
    ...worker,
    dev,
    async order() {
      const response = await fetch(`${worker.url}/orders`, { method: "POST" });
      expect(response.status).toBe(201);
      return ((await response.json()) as { id: string }).id;
    },
    consumed: (id: string) =>
      vi.waitFor(async () => expect(await worker.query("select message_id as id from effects")).toEqual([{ id }]), {
        timeout: 10_000,
        interval: 20,
      }),
  };
}

test("a service that takes its configuration from its bindings publishes, consumes and sweeps", async () => {
  const service = await startService({});
  await service.consumed(await service.order());
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
  await service.consumed(id);
});
