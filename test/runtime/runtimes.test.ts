import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startDevServer } from "../../adapters/dev/index.ts";
import type { DevServer } from "../../adapters/dev/index.ts";
import { findFreePort } from "./free-port.ts";
import { RUNTIMES } from "./runtimes.ts";
import type { RunningRuntime } from "./runtimes.ts";
import { CASES } from "./scenarios/cases.ts";
import type { Outcome } from "./scenarios/entry.ts";

/** The same cases, run by each runtime itself: what it prints at the end is a table of both. */
const table: Record<string, Record<string, string>> = Object.fromEntries(CASES.map(({ name }) => [name, {}]));
const versions: Record<string, string> = {};

afterAll(() => {
  console.table(versions);
  console.table(table);
});

for (const runtime of RUNTIMES) {
  const missing = await runtime.missing();
  describe.skipIf(missing !== undefined)(`on ${runtime.name}${missing === undefined ? "" : ` (${missing})`}`, () => {
    let dev: DevServer;
    let running: RunningRuntime | undefined;
    let url: string;
    let ran = 0;

    beforeAll(async () => {
      dev = await startDevServer({ qstash: { timeFactor: 0.005 } });
      url = `http://127.0.0.1:${await findFreePort()}`;
      running = await runtime.start({
        PUBLIC_URL: url,
        UPSTASH_REDIS_REST_URL: dev.redis.url,
        UPSTASH_REDIS_REST_TOKEN: dev.redis.token,
        QSTASH_URL: dev.qstash.url,
        QSTASH_TOKEN: dev.qstash.token,
        QSTASH_CURRENT_SIGNING_KEY: dev.qstash.currentSigningKey,
        QSTASH_NEXT_SIGNING_KEY: dev.qstash.nextSigningKey,
      });
      versions[runtime.name] = running.version;
    }, 60_000);
    afterAll(async () => {
      await running?.stop();
      await dev.close();
    });

    for (const [number, { name }] of CASES.entries()) {
      test(name, async () => {
        const response = await fetch(`${url}/_cases/${number}`, { method: "POST" });
        const outcome = (await response.json()) as Outcome;
        table[name]![runtime.name] = outcome.failure === undefined ? `✓ ${outcome.millis} ms` : "✗";
        expect(outcome).toEqual({ name, millis: outcome.millis });
        ran++;
      });
    }

    test("every case was run", () => {
      expect(ran).toBe(CASES.length);
      expect(ran).toBeGreaterThan(0);
    });
  });
}
