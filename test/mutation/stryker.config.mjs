/** Mutation testing of the protocol; `score.ts` prints what it came to. See docs/mutation.md. */
export default {
  mutate: ["src/model/**/*.ts", "src/core/**/*.ts"],
  testRunner: "vitest",
  vitest: { configFile: "test/mutation/vitest.config.ts", related: false },
  plugins: ["@stryker-mutator/vitest-runner", "./test/mutation/ignore-words.mjs"],
  ignorers: ["words"],
  coverageAnalysis: "perTest",
  // What is only evaluated as a module loads would need a new process, and every test, for each mutant.
  ignoreStatic: true,
  incremental: true,
  incrementalFile: ".tmp/mutation/incremental.json",
  reporters: ["progress-append-only", "html", "json"],
  htmlReporter: { fileName: ".tmp/mutation/report.html" },
  jsonReporter: { fileName: ".tmp/mutation/report.json" },
  tempDirName: ".tmp/stryker",
  ignorePatterns: ["dist", "coverage", ".tmp", ".ci"],
  // TypeScript 7 has no interface by which Stryker could rewrite the paths of ours; none of them leaves the project.
  tsconfigFile: "none",
  concurrency: 2,
  timeoutMS: 12_000,
  timeoutFactor: 3,
  thresholds: { high: 95, low: 90, break: null },
};
