import { describe, expect, test } from "vitest";
import { parseDuration } from "../../../adapters/dev/qstash/duration.ts";
import { compileRetryDelay } from "../../../adapters/dev/qstash/retry-expression.ts";

describe("durations", () => {
  test.each([
    ["50s", 50_000],
    ["1d10h30m", 124_200_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["1m0.5s", 60_500],
    [" 2m ", 120_000],
    ["3us", 0.003],
  ])("%s is %d ms", (text, millis) => {
    expect(parseDuration(text)).toBeCloseTo(millis, 9);
  });

  test.each(["", "5", "s", "-5s", "5 s", "1h-", "5x", "1..5s"])('"%s" is no duration', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe("retry delay expressions", () => {
  test.each([
    ["1000", 3, 1000],
    ["1000 * (1 + retried)", 2, 3000],
    ["pow(2, retried) * 1000", 3, 8000],
    ["max(1000, pow(2, retried) * 100)", 0, 1000],
    ["min(5, 7) - -2", 0, 7],
    ["2 + 3 * 4 - 10 / 5 % 3", 0, 12],
    ["8 - 4 - 2", 0, 2],
    ["floor(1.9) + ceil(1.1) + round(2.5) + abs(-3) + sqrt(16)", 0, 13],
    ["exp(0)", 0, 1],
    ["1e3", 0, 1000],
  ])("%s after %i retries is %d", (expression, retried, expected) => {
    expect(compileRetryDelay(expression)(retried)).toBe(expected);
  });

  test.each([
    "",
    "1 +",
    "(1",
    "1)",
    "pow(1)",
    "pow(1, 2, 3)",
    "constructor(1)",
    "globalThis",
    "retried.x",
    "1; 2",
    "1 2",
    "x".repeat(600),
  ])('"%s" is refused', (expression) => {
    expect(() => compileRetryDelay(expression)).toThrow(SyntaxError);
  });
});
