import { describe, expect, test } from "vitest";
import type { Dispatch } from "aftercommit";
import { expectInvariants, expectOutcome } from "./barrier-crash-invariants.ts";
import { newWorld, order, RECEIPTS, recover, start } from "./barrier-crash-world.ts";
import type { BarrierWorld, LogFate, Receipt } from "./barrier-crash-world.ts";
import { atEachAwait, deliver, FAULTS, processWith } from "./crash-world.ts";

/** A crash, an error or a lost reply at each await of a consumer whose effect is in its database. */

const LOGS: readonly (readonly [LogFate, readonly Receipt[]])[] = [
  ["answers", RECEIPTS],
  ["is emptied by the crash", ["runs", "publishes only"]],
  ["is not there", RECEIPTS],
];

describe.each(LOGS)("a consumer whose log %s", (log, receipts) => {
  const cases = receipts.flatMap((receipt) => FAULTS.map((fault) => [receipt, fault] as const));
  test.each(cases)(
    "and whose handler %s, in a process that %s at any await, acts once and publishes once",
    async (receipt, fault) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = await newWorld(log);
        await order(world, start(world, processWith()));
        const consumer = start(world, process, { receipt });
        const undelivered: Dispatch[] = [];
        for (const dispatch of world.transport.take()) {
          const faulty = dispatch.record.destination.endsWith("/receipt");
          const status = faulty ? await deliver(world, consumer, dispatch, 1) : "not sent yet";
          if (status === 200) world.transport.markDelivered(dispatch);
          else undelivered.push(dispatch);
        }
        await recover(world, { receipt }, undelivered);
        await expectInvariants(world);
        expectOutcome(world, receipt);
        await expectNothingMore(world, { receipt });
      });
      expect(awaits).toBeGreaterThanOrEqual(5);
    },
  );
});

/** All that was ever sent comes once more, as a transport may do: nothing more happens. */
async function expectNothingMore(world: BarrierWorld, options: Parameters<typeof start>[2]): Promise<void> {
  const before = [world.ledger.effects(), world.transport.accepted.length];
  const again = start(world, processWith(), options);
  for (const dispatch of world.transport.accepted.slice())
    expect(await deliver(world, again, dispatch, 3), `${dispatch.record.topic} is answered again`).toBe(200);
  expect([world.ledger.effects(), world.transport.accepted.length]).toEqual(before);
}
