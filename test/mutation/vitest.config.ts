import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";
import { keepThreadsWarm } from "./warm-threads.ts";

/** The tests that each mutant meets: those that need no server and no file, and run in seconds. */
const FAST = [
  "test/unit/{model,core,barrier,barrier-consumer,idempotency,middleware,patterns,payloads,qstash,redis-streams,sql}/**/*.test.ts",
  "test/contract/{memory-receiver,memory-store,memory-transport}.test.ts",
];
/** A number of simulated runs; in a file that `npm test` does not take up. */
const SEEDS = "test/mutation/seeds.ts";
/** Those that measure time, need a server, or take longer than they kill. */
const NOT = [
  "test/unit/model/regular-expressions.test.ts",
  "test/unit/barrier/recovery.test.ts",
  "test/unit/{idempotency,payloads}/{crash,races,real-stores,nothing-plain,encryption}.test.ts",
  "test/unit/patterns/{saga,long-saga}.test.ts",
  "test/unit/qstash/differential.test.ts",
  "test/unit/redis-streams/billing.test.ts",
];

/** The simulated runs come last: most mutants die before. */
class SeedsLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification) => (moduleId.endsWith(SEEDS) ? 1 : 0);
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}

keepThreadsWarm();

export default defineConfig({
  ssr: { resolve: { conditions: ["aftercommit-source"] } },
  test: {
    root: fileURLToPath(new URL("../..", import.meta.url)),
    include: [...FAST, SEEDS],
    exclude: NOT,
    isolate: false,
    testTimeout: 10_000,
    hookTimeout: 10_000,
    sequence: { sequencer: SeedsLast },
    passWithNoTests: false,
  },
});
