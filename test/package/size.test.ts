import { expect, test } from "vitest";
import { measureSizes } from "./sizes.ts";

/** Near the measured sizes, so that growth is a decision. In kilobytes, minified and compressed. */
const LIMITS = { core: 46, worker: 86 } as const;

const { sizes } = await measureSizes();

test(`the core with QStash and Upstash Redis is at most ${LIMITS.core} KB`, () => {
  expect(sizes.coreGzip / 1_024).toBeLessThanOrEqual(LIMITS.core);
});

test(`a complete Worker with hono/tiny, zod/mini and both Upstash clients is at most ${LIMITS.worker} KB`, () => {
  expect(sizes.workerGzip / 1_024).toBeLessThanOrEqual(LIMITS.worker);
  expect(sizes.workerGzip).toBeGreaterThan(sizes.coreGzip);
});

test("every entry that ships to an app is measured", () => {
  expect(Object.keys(sizes.entries)).toEqual(expect.arrayContaining([".", "./qstash", "./upstash-redis", "./sql"]));
  for (const { minified, gzip } of Object.values(sizes.entries)) expect(gzip).toBeLessThan(minified);
});
