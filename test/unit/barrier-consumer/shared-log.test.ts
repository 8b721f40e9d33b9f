import { expect, test } from "vitest";
import { act, consumingWorld } from "../../support/barrier-consumer-world.ts";
import type { ConsumingWorld } from "../../support/barrier-consumer-world.ts";
import { orderPaid } from "../../support/world.ts";
import type { ServiceUnderTest } from "../../support/world.ts";

/** A consumer with a database that shares the log of its producer, which decides by the status; one order is sent. */
async function shop(w: ConsumingWorld, handler: Parameters<ConsumingWorld["receipts"]>[1]): Promise<ServiceUnderTest> {
  const service = w.receipts("a store", handler);
  service.app.post("/orders", service.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "o-1" });
    return c.text(c.var.tx.id);
  });
  await service.app.request("/orders", { method: "POST" });
  await service.ac.drain();
  return service;
}

test("a consumer with a database that shares the log tells it that the delivery has arrived", async () => {
  for (const handler of [
    (message: Parameters<Parameters<ConsumingWorld["receipts"]>[1]>[0]) => message.run("main", act),
    () => "nothing to write",
  ]) {
    const w = consumingWorld();
    const service = await shop(w, handler);
    expect(await w.store.reader.counts()).toMatchObject({ unsettled: 1 });
    await w.deliver(service.app);
    await service.ac.drain();
    expect(w.of("delivered")).toHaveLength(1);
    expect(await w.store.reader.counts()).toMatchObject({ unsettled: 0 });
  }
});
