import { describe, expect, test } from "vitest";
import { parseKey } from "../../../src/idempotency/key-field.ts";

describe("a key", () => {
  test.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ['"a b !#[]~"', "a b !#[]~"],
    [String.raw`"a\"b\\c"`, String.raw`a"b\c`],
    [`"${"k".repeat(255)}"`, "k".repeat(255)],
    [`"${"\\\\".repeat(255)}"`, "\\".repeat(255)],
  ])("%j is %j", (field, key) => {
    expect(parseKey(field, {})).toEqual({ key });
    expect(parseKey(field, { acceptUnquoted: true })).toEqual({ key });
  });

  test.each([
    ["", "nothing"],
    ['""', "an empty one"],
    ["abc", '"abc" without quotes'],
    ["a b", '"a b"'],
    ['"abc', String.raw`"\"abc"`],
    ['abc"', String.raw`"abc\""`],
    ['"a"b"', String.raw`"\"a\"b\""`],
    [String.raw`"a\b"`, String.raw`"\"a\\b\""`],
    ['"a\\"', String.raw`"\"a\\\""`],
    ['"a\tb"', String.raw`"\"a\tb\""`],
    ['"ä"', String.raw`"\"ä\""`],
    ['"a";p=1', String.raw`"\"a\";p=1"`],
    ['"a", "b"', String.raw`several, "\"a\", \"b\""`],
    ["'a'", `"'a'"`],
    [`"${"k".repeat(256)}"`, "one of 256 characters"],
    ["k".repeat(600), "one of 600 characters"],
    [`"${" ".repeat(100)}\t"`, `"\\"${" ".repeat(63)}…"`],
  ])("%j is none", (field, found) => {
    expect(parseKey(field, {})).toEqual({ found });
  });

  test("without quotes is one where that is accepted, of letters, digits and a few signs", () => {
    const parse = (field: string) => parseKey(field, { acceptUnquoted: true });
    expect(parse("8e03978e-40d5_43dd.bc93")).toEqual({ key: "8e03978e-40d5_43dd.bc93" });
    expect(parse("k".repeat(255))).toEqual({ key: "k".repeat(255) });
    expect(parse("k".repeat(256))).toEqual({ found: "one of 256 characters" });
    for (const field of ["a b", "a,b", "a;b", '"a', "ä"]) expect(parse(field)).toHaveProperty("found");
  });

  test("takes no time to be refused, whatever was sent", () => {
    const started = performance.now();
    for (const text of [
      '"'.repeat(50_000),
      `"${" ".repeat(50_000)}`,
      `"${"\\".repeat(50_001)}`,
      `"${'" '.repeat(255)}`,
    ])
      expect(parseKey(text, { acceptUnquoted: true })).toHaveProperty("found");
    expect(performance.now() - started).toBeLessThan(250);
  });
});
