import { describe, expect, test } from "vitest";
import { expectInvariants, expectOutcome } from "./barrier-crash-invariants.ts";
import { BEHAVIOURS, newWorld, order, recover, start } from "./barrier-crash-world.ts";
import type { LogFate, ShopOptions } from "./barrier-crash-world.ts";
import { atEachAwait, FAULTS, outcomeOf, processWith } from "./crash-world.ts";

/**
 * A crash, an error or a lost reply at each await of a transaction that its database decides, one after the other; then
 * sound processes recover, and the invariants must hold.
 */

const VERBS = ["run", "batch"] as const;

describe.each(VERBS)("a producer with tx.%s", (verb) => {
  const kinds = [
    ...BEHAVIOURS.map((behaviour) => [behaviour, true] as const),
    ["succeeds", false] as const,
    ["throws inside of its work", false] as const,
  ];
  const cases = kinds.flatMap(([behaviour, compensates]) =>
    FAULTS.map((fault) => [behaviour, compensates ? "compensating" : "plain", fault, compensates] as const),
  );
  test.each(cases)(
    "whose handler %s (%s), in a process that %s at any await, keeps the invariants",
    async (behaviour, _kind, fault, compensates) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = await newWorld();
        const options = { behaviour, verb, compensates };
        await order(world, start(world, process, options));
        await recover(world);
        await expectInvariants(world);
        expectOutcome(world);
      });
      expect(awaits).toBeGreaterThanOrEqual(3);
    },
  );
});

describe.each(["is out of reach throughout", "is emptied by the crash", "is not there"] as const)(
  "a producer whose log %s",
  (log: LogFate) => {
    const cases = (["succeeds", "throws inside of its work"] as const).flatMap((behaviour) =>
      FAULTS.map((fault) => [behaviour, fault] as const),
    );
    test.each(cases)(
      "and whose handler %s, in a process that %s at any await, keeps the invariants",
      async (behaviour, fault) => {
        await atEachAwait(fault, async (process) => {
          const world = await newWorld(log);
          await order(world, start(world, process, { behaviour, compensates: true }));
          await recover(world);
          await expectInvariants(world);
          expectOutcome(world);
        });
      },
    );
  },
);

describe("a sweeper", () => {
  const compensates = true;
  const leftBehind: readonly (readonly [string, ShopOptions, string])[] = [
    ["a committed row that nobody has sent", {}, "transport.publish"],
    ["a sent row that is not settled", {}, "barrier.settle"],
    ["an intent without a decision", { compensates }, "database.commit"],
    [
      "a rolled back row that nobody has sent",
      { behaviour: "throws inside of its work", compensates },
      "transport.publish",
    ],
    ["a hint without a row", {}, "database.commit"],
  ];
  const cases = leftBehind.flatMap((left) => FAULTS.map((fault) => [left[0], fault, left] as const));
  test.each(cases)(
    "that finds %s and %s at any await, beside a sound one, leaves what is undone to the next one",
    async (_name, fault, [, options, diesAt]) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = await newWorld();
        await dieBefore(world, options, diesAt);
        await world.clock.advance(130_000);
        const sweeper = start(world, process);
        const beside = start(world, processWith());
        for (let round = 0; round < 4 && !process.dead; round++) {
          const sweeps = [sweeper, beside].map((shop) =>
            outcomeOf(world, shop.process, shop.ac.operator().sweep({ audit: true })).catch(() => undefined),
          );
          await Promise.all(sweeps);
          await world.clock.advance(130_000);
        }
        await recover(world);
        await expectInvariants(world);
        expectOutcome(world);
      });
      expect(awaits).toBeGreaterThanOrEqual(3);
    },
  );
});

/** A request whose process dies before the first await of that name. */
async function dieBefore(
  world: Awaited<ReturnType<typeof newWorld>>,
  options: ShopOptions,
  name: string,
): Promise<void> {
  const rehearsal = await newWorld();
  const trial = processWith();
  await order(rehearsal, start(rehearsal, trial, options));
  const process = processWith("diesBefore", trial.awaited.indexOf(name));
  await order(world, start(world, process, options));
  expect(process.dead, `it died before ${name}`).toBe(true);
}
