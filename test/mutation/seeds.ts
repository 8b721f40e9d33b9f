import { expect, test } from "vitest";
import { simulate } from "../simulation/simulate.ts";

/** Simulated runs for the mutants that the unit tests let live. */

const SEEDS = 120;
const AT_ONCE = 20;

for (let from = 0; from < SEEDS; from += AT_ONCE) {
  test(`the invariants hold in the simulated runs ${from} to ${from + AT_ONCE - 1}`, async () => {
    for (let seed = from; seed < from + AT_ONCE; seed++) {
      const { violation } = await simulate({ seed });
      expect(violation, `seed ${seed}`).toBeUndefined();
    }
  });
}
