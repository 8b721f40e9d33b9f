import { expect, test } from "vitest";
import { faulty, gate, orderPaid, settled, world } from "../../support/world.ts";

/**
 * What was held before its request decided after all, and could not be put back then. Found by the simulator: whoever
 * looked at the business data and said the opposite of the decision was refused, and it stayed held.
 */
test("what a decided transaction still holds goes its decision's way, whatever a person says of it", async () => {
  const w = world();
  let releases = false;
  const made = w.service({
    log: faulty(w.store, (name) => (name === "deadLetters.release" && !releases ? "unreachable" : "none")),
  });
  const stalled = gate();
  made.app.post("/orders", made.ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "1" });
    await stalled.passed;
    return c.text(c.var.tx.id);
  });
  const response = made.app.request("/orders", { method: "POST" });
  await settled();
  await w.clock.advance(120_000);
  await made.ac.operator().sweep();
  const id = (await made.ac.operator().log.listHeld()).items[0]!.transactionId;
  stalled.open();
  expect(await (await response).text()).toBe(id);
  await made.ac.drain();
  expect((await w.store.reader.counts()).held, "it could not be put back").toBe(1);

  releases = true;
  await expect(made.ac.operator().decide(id, "rolledBack")).rejects.toMatchObject({ code: "ERR_CONFLICT" });
  await made.ac.operator().sweep();
  expect((await w.store.reader.counts()).held).toBe(0);
  expect(w.transport.accepted.map(({ record }) => record.transactionId)).toEqual([id]);
});
