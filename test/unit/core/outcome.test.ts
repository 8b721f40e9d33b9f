import { expect, test } from "vitest";
import { encodeOutcome, MAX_OUTCOME_BYTES } from "../../../src/core/outcome.ts";
import { serviceOf } from "../../races/race.ts";
import { world } from "../../support/world.ts";

test("an outcome is kept as JSON up to its limit in bytes; what cannot be kept is left out, and told of", () => {
  const w = world();
  const { core } = serviceOf(w, {});
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const fits = "é".repeat((MAX_OUTCOME_BYTES - 2) / 2);
  expect([{ a: 1 }, "x", 0, null, undefined, fits].map((value) => encodeOutcome(core, value))).toEqual([
    '{"a":1}',
    '"x"',
    "0",
    "null",
    "null",
    JSON.stringify(fits),
  ]);
  expect(encodeOutcome(core, () => 1)).toBe("null");
  expect(w.of("background")).toEqual([]);
  expect([`${fits}x`, 1n, cycle].map((value) => encodeOutcome(core, value))).toEqual(["null", "null", "null"]);
  expect(w.of("background")).toHaveLength(3);
});
