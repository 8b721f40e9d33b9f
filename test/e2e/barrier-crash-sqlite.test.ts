import { describe, expect, test } from "vitest";
import { expectInvariants, expectOutcome } from "./barrier-crash-invariants.ts";
import { sqliteLedger } from "./barrier-crash-ledger.ts";
import { newWorld, order, recover, start } from "./barrier-crash-world.ts";
import { atEachAwait, FAULTS } from "./crash-world.ts";

/** The same in a real database: less of it, as SQLite has one transaction at a time. */

describe("a producer on SQLite", () => {
  const behaviours = ["succeeds", "throws inside of its work", "throws after its commit"] as const;
  const cases = behaviours.flatMap((behaviour) => FAULTS.map((fault) => [behaviour, fault] as const));
  test.each(cases)(
    "whose handler %s, in a process that %s at any await, keeps the invariants",
    async (behaviour, fault) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = await newWorld("is not there", sqliteLedger);
        await order(world, start(world, process, { behaviour, compensates: true }));
        await recover(world);
        await expectInvariants(world);
        expectOutcome(world);
      });
      expect(awaits).toBeGreaterThanOrEqual(4);
    },
  );
});
