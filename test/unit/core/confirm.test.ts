import { expect, test } from "vitest";
import { orderPaid, PUBLIC_URL, world } from "../../support/world.ts";

test("a delivery that is still on its way is looked for again in waits that grow from confirmAfter", async () => {
  const w = world();
  const made = w.service({ recovery: { confirmAfter: "2s" } });
  made.app.post("/", made.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "o-1" });
    return c.text("yes");
  });
  await made.app.request(`${PUBLIC_URL}/`, { method: "POST" });
  await made.ac.drain();
  const waits: number[] = [];
  for (let looks = 0; looks < 3; looks++) {
    await made.ac.operator().sweep({ audit: false });
    const { dueAt } = w.store.snapshot().due[0]![1];
    waits.push(dueAt - w.clock.now());
    await w.clock.advance(dueAt - w.clock.now());
  }
  expect(waits[0]).toBe(2_000);
  expect(waits[1]).toBeGreaterThanOrEqual(1_000);
  expect(waits[1]).toBeLessThanOrEqual(2_000);
  expect(waits[2]).toBeGreaterThanOrEqual(3_000);
  expect(waits[2]).toBeLessThanOrEqual(6_000);
});
