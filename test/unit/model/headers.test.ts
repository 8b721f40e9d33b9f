import { expect, test } from "vitest";
import { headerProblems, MAX_HEADER_BYTES, withHeaders } from "../../../src/model/headers.ts";

test("headers of one's own may travel, up to their limit in bytes", () => {
  expect(headerProblems({ "x-a": "b\t~", accept: "" })).toEqual([]);
  const full = { "x-a": "b".repeat(MAX_HEADER_BYTES - 3) };
  expect(headerProblems(full)).toEqual([]);
  expect(headerProblems({ ...full, b: "" })).toEqual([
    { path: "headers", expected: "at most 8192 bytes of headers", found: "8193", remedy: expect.any(String) },
  ]);
});

test.each([
  ["Upstash-Retries", "of your own"],
  ["aftercommit-epoch", "of your own"],
  ["Proxy-Authorization", "of your own"],
  ["HOST", "of your own"],
  ["authorization", "of your own"],
  ["set-cookie", "of your own"],
  ["te", "of your own"],
  ["x a", "token"],
  ["", "token"],
  ["x:a", "token"],
])("a header %j may not", (name, expected) => {
  expect(headerProblems({ [name]: "a" })).toEqual([
    expect.objectContaining({
      path: "headers",
      expected: expect.stringContaining(expected),
      found: JSON.stringify(name),
    }),
  ]);
});

test("a header whose name only begins or ends like one of those may travel", () => {
  for (const name of ["x-upstash-a", "hostname", "x-host", "cookies", "x-te", "tea"]) {
    expect(headerProblems({ [name]: "a" }), name).toEqual([]);
  }
});

test("a value is printable ASCII on one line", () => {
  for (const value of ["a\nb", "a\r", "ö", "\0", "\u007f", 7 as unknown as string]) {
    expect(headerProblems({ "x-a": value }), JSON.stringify(value)).toEqual([
      expect.objectContaining({ path: "headers", expected: 'printable ASCII in the header "x-a"' }),
    ]);
  }
});

test("a header replaces another of its name in any case", () => {
  expect(withHeaders({ "X-A": "1", "x-b": "2" }, { "x-a": "3", "X-C": "4" })).toEqual({
    "x-b": "2",
    "x-a": "3",
    "X-C": "4",
  });
  expect(withHeaders()).toEqual({});
});
