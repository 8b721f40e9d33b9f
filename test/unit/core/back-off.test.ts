import { expect, test } from "vitest";
import { backOff } from "../../../src/core/back-off.ts";
import { webCrypto } from "../../../src/system/crypto.ts";

const SCHEDULE = { firstMillis: 1_000, factor: 2, mostMillis: 60_000 };

/** The wait where chance is these two bytes. */
const drawn = (attempts: number, high: number, low: number) =>
  backOff(SCHEDULE, attempts, { ...webCrypto, random: () => new Uint8Array([high, low]) });

test("a wait lies in the upper half of its range, evenly by a draw of 16 bits", () => {
  expect(drawn(3, 0, 0)).toBe(4_000);
  expect(drawn(3, 0x40, 0)).toBe(5_000);
  expect(drawn(3, 0x80, 0)).toBe(6_000);
  expect(drawn(3, 0, 0xff)).toBe(4_016);
  expect(drawn(3, 0xff, 0xff)).toBe(8_000);
});

test("a wait doubles up to its most, however many attempts there were", () => {
  expect([0, 1, 2, 5, 6, 255, Number.MAX_SAFE_INTEGER].map((attempts) => drawn(attempts, 0, 0))).toEqual([
    500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000,
  ]);
});
