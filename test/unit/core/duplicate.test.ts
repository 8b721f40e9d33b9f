import { expect, test } from "vitest";
import { faulty, orderPaid, PUBLIC_URL, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

/** A message that its consumer did in a process that died before it could tell the log and the transport. */
async function doneAndUntold(w: World) {
  const shop = (cutOff: boolean) => {
    const log = faulty(w.store, (name) => (cutOff && name === "transactions.record" ? "unreachable" : "none"));
    const made = w.service({ log });
    made.app.post(
      "/consumers/receipt",
      made.ac.consumer(orderPaid, () => "done"),
    );
    made.app.post("/", made.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      return c.text("yes");
    });
    return made;
  };
  const { app, ac } = shop(false);
  await app.request(`${PUBLIC_URL}/`, { method: "POST" });
  await ac.drain();
  const [dispatch] = w.transport.take();
  const deliver = async (made: ReturnType<typeof shop>, attempt: number) => {
    const { destination, meta } = dispatch!.record;
    const response = await w.post(made.app, destination, dispatch!.body, { attempt, meta });
    await made.ac.drain();
    return response.json();
  };
  expect(await deliver(shop(true), 1)).toMatchObject({ duplicate: false });
  expect(w.store.snapshot().due).toHaveLength(1);
  return { deliver: (attempt: number) => deliver(shop(false), attempt) };
}

test("a retry that finds its message done settles the delivery, as the run that was cut off could not", async () => {
  const w = world();
  const { deliver } = await doneAndUntold(w);
  expect(await deliver(2)).toMatchObject({ duplicate: true, outcome: "done" });
  expect(w.store.snapshot().due).toEqual([]);
  expect(w.of("delivered")).toHaveLength(1);
});

test("a first attempt that finds its message done is a copy, and costs the log nothing", async () => {
  const w = world();
  const { deliver } = await doneAndUntold(w);
  expect(await deliver(1)).toMatchObject({ duplicate: true });
  expect(w.of("delivered")).toEqual([]);
});
