import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { ConfigurationError } from "../../../src/errors.ts";
import { describeIssues } from "../../../src/model/standard-schema.ts";
import { topic, validated } from "../../../src/model/topic.ts";
import type { TopicDeclaration } from "../../../src/model/topic.ts";

const schema = z.object({ orderId: z.string() });

/** Where the problems of a declaration lie. */
function pathsOf(options: TopicDeclaration, name = "order.paid"): readonly string[] {
  try {
    topic(name, schema, options);
    return [];
  } catch (error) {
    if (!ConfigurationError.is(error)) throw error;
    return error.problems.map(({ path }) => path);
  }
}

describe("a topic", () => {
  test("is its name, its schema and its options", () => {
    const options = { retries: 2 };
    expect(topic("order.paid", schema, options)).toMatchObject({ name: "order.paid", schema, options });
    expect(topic("order.paid", schema).options).toEqual({});
  });

  test("has a name of up to 128 letters, the first of them no mark", () => {
    for (const name of ["a", "0", "order.paid_v-2", "a".repeat(128)]) expect(pathsOf({}, name), name).toEqual([]);
    for (const name of ["", ".a", "-a", "a b", "a/b", "a:b", "a".repeat(129), "a\n"]) {
      expect(pathsOf({}, name), name).toEqual(["topic"]);
    }
  });

  test.each<TopicDeclaration>([
    { version: 1 },
    { version: 2_147_483_647 },
    { retries: 0 },
    { retries: 100 },
    { retryDelay: "1000 * pow(2, retried)" },
    { timeout: "30s", delay: 5_000 },
    { headers: { "x-a": "b" } },
    { orderQueues: 1 },
    { orderQueues: 100 },
    { flow: { parallelism: 1 } },
    { flow: { rate: 100, period: "1s" } },
    { flow: { parallelism: 2, rate: 100, period: "7d" } },
  ])("may be declared with %j", (options) => {
    expect(pathsOf(options)).toEqual([]);
  });

  test.each<[TopicDeclaration, string]>([
    [{ version: 0 }, "version"],
    [{ version: 1.5 }, "version"],
    [{ retries: -1 }, "retries"],
    [{ retries: 101 }, "retries"],
    [{ retries: 1.5 }, "retries"],
    [{ retryDelay: "" }, "retryDelay"],
    [{ retryDelay: "1000;2" }, "retryDelay"],
    [{ timeout: "soon" }, "timeout"],
    [{ delay: -1 }, "delay"],
    [{ headers: { host: "a" } }, "headers"],
    [{ orderQueues: 0 }, "orderQueues"],
    [{ orderQueues: 1.5 }, "orderQueues"],
    [{ orderQueues: 101 }, "orderQueues"],
    [{ flow: {} }, "flow"],
    [{ flow: { parallelism: 0 } }, "flow"],
    [{ flow: { parallelism: 1, rate: 0 } }, "flow"],
    [{ flow: { rate: 1, period: 999 } }, "flow.period"],
    [{ flow: { rate: 1, period: 7 * 86_400_000 + 1 } }, "flow.period"],
    [{ flow: { rate: 1, period: "soon" } }, "flow.period"],
  ])("declared with %j is refused, with where the problem lies", (options, path) => {
    expect(pathsOf(options)).toEqual([`topic "order.paid".${path}`]);
  });

  test("is refused with all its problems at once", () => {
    expect(pathsOf({ retries: -1, timeout: "soon", delay: "soon" }, "?")).toHaveLength(4);
  });
});

test("data are what the schema makes of them, or are refused by field, without their values", async () => {
  const counted = topic("a", z.object({ n: z.pipe(z.string(), z.transform(Number)) }));
  expect(await validated(counted, { n: "7" })).toEqual({ n: 7 });
  const refused = validated(counted, { n: 4_111_111 });
  await expect(refused).rejects.toMatchObject({
    code: "ERR_INVALID_MESSAGE",
    message: expect.stringMatching(/ \(n: /),
  });
  await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining("4111111") });
});

test("what a schema found wrong is one line: the first five issues, each with its place", () => {
  const deep = { message: "expected text", path: ["order", { key: "lines" }, 0, Symbol("id")] };
  expect(describeIssues([deep, { message: "expected more", path: [] }, { message: "expected less" }])).toBe(
    "order.lines.0.Symbol(id): expected text; expected more; expected less",
  );
  const many = Array.from({ length: 7 }, (_, n) => ({ message: `${n}` }));
  expect(describeIssues(many)).toBe("0; 1; 2; 3; 4");
});
