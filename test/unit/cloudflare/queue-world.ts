import type { AftercommitOptions } from "aftercommit";
import { cloudflareQueues, queueHandler } from "aftercommit/cloudflare-queues";
import type { QueueHandlerOptions } from "aftercommit/cloudflare-queues";
import { ELSEWHERE, orderPaid, PUBLIC_URL, seatFreed, world } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";
import { memoryQueue } from "./memory-queue.ts";
import type { MemoryQueue, QueueSettings } from "./memory-queue.ts";

/** A service that publishes into a queue and takes out of it. */
export interface QueueWorld extends World {
  readonly queue: MemoryQueue;
  readonly deadLetters: MemoryQueue;
  readonly service: (overrides?: Partial<AftercommitOptions>) => ServiceUnderTest;
  /** Publishes an order at level `marked`, and waits for what goes on after the response. */
  order(service: ServiceUnderTest, orderId?: string): Promise<string>;
  /** Delivers what is due, and what becomes due, until the queue is empty. */
  deliverAll(service: ServiceUnderTest, options?: QueueHandlerOptions): Promise<void>;
}

export { ELSEWHERE, orderPaid, PUBLIC_URL, seatFreed };

export function queueWorld(settings: QueueSettings = {}): QueueWorld {
  const base = world();
  const deadLetters = memoryQueue(base.clock, { name: "orders-dead" });
  const queue = memoryQueue(base.clock, { deadLetterQueue: deadLetters, ...settings });
  const transport = cloudflareQueues({ orders: queue }, { clock: base.clock });
  const service: QueueWorld["service"] = (overrides) => {
    const made = base.service({ transport, routes: { [orderPaid.name]: "queue:orders/receipt" }, ...overrides });
    made.app.post("/orders", made.ac.transaction(), async (c) => {
      const { id } = await c.var.tx.publish(orderPaid, { orderId: await c.req.text() });
      return c.text(id);
    });
    return made;
  };
  return {
    ...base,
    queue,
    deadLetters,
    service,
    async order({ app, ac }, orderId = "o-1") {
      const response = await app.request(`${PUBLIC_URL}/orders`, { method: "POST", body: orderId });
      await ac.drain();
      return response.text();
    },
    async deliverAll({ ac }, options = {}) {
      const handler = queueHandler(ac, { deadLetterQueues: [deadLetters.name], ...options });
      for (const source of [queue, deadLetters]) {
        for (let rounds = 0; source.messages.length > 0; rounds++) {
          if (rounds > 500) throw new Error("expected the queue to run empty");
          const next = Math.min(...source.messages.map(({ dueAt }) => dueAt));
          await base.clock.advance(Math.max(0, next - base.clock.now()));
          await source.deliver(handler);
        }
      }
    },
  };
}
