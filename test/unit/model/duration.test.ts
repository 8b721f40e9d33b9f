import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../src/model/duration.ts";

describe("a duration", () => {
  const read: [string | number, number][] = [
    ["250ms", 250],
    ["30s", 30_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["30d", 2_592_000_000],
    ["1.5h", 5_400_000],
    ["0s", 0],
    ["0.4ms", 0],
    ["0.000001d", 86],
    [0, 0],
    [1.6, 2],
    [90_000, 90_000],
    ["36525d", 3_155_760_000_000],
  ];
  for (const [text, millis] of read) {
    test(`${text} is ${millis} ms`, () => {
      expect(parseDuration(text)).toBe(millis);
    });
  }

  const refused = [
    "",
    "s",
    "5",
    "5 s",
    " 5s",
    "5s ",
    "5s\n",
    "-5s",
    "+5s",
    "5S",
    "5sec",
    "1h30m",
    ".5s",
    "5.s",
    "1e3s",
    "0x5s",
    "٣s",
    "Infinitys",
    "36526d",
    "9".repeat(13) + "s",
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.MAX_VALUE,
  ];
  for (const text of refused) {
    test(`is not ${JSON.stringify(text)}`, () => {
      expect(parseDuration(text)).toBeUndefined();
    });
  }

  test("that is accepted leads to a date", () => {
    expect(() => new Date(Date.now() + parseDuration("36525d")!).toISOString()).not.toThrow();
  });

  test("is written in its shortest form, and read back the same", () => {
    for (const [millis, text] of [
      [0, "0ms"],
      [1, "1ms"],
      [90_000, "90s"],
      [60_000, "1m"],
      [60_001, "60001ms"],
      [86_400_000, "1d"],
      [90_000_000, "25h"],
    ] as const) {
      expect(formatDuration(millis)).toBe(text);
      expect(parseDuration(text)).toBe(millis);
    }
  });
});
