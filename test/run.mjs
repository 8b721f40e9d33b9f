/**
 * Runs every test and closes with `N passed, N failed`. A skip is printed with its reason; with CI=true it is a failure.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Expected Node 22.18 or newer for the tests, found ${process.versions.node}. On Linux x64 npm brings Node 24 along: run them by "npm test".`,
  );
  process.exit(1);
}

const { startVitest } = await import("vitest/node");
const config = new URL("vitest.config.ts", import.meta.url).pathname;
const vitest = await startVitest("test", process.argv.slice(2), { config, watch: false });

const counts = { passed: 0, failed: 0, skipped: 0 };
const skips = [];
for (const file of vitest.state.getTestModules()) {
  let tests = 0;
  for (const test of file.children.allTests()) {
    tests++;
    const { state } = test.result();
    if (state === "pending") counts.failed++;
    else counts[state]++;
    if (state === "skipped") skips.push(test.fullName);
  }
  if (tests === 0 || file.errors().length > 0) counts.failed++;
}
const unhandled = vitest.state.getUnhandledErrors().length;
await vitest.close();

for (const name of skips) console.log(`skipped: ${name}`);
const strict = process.env.CI === "true";
const failed = counts.failed + unhandled + (strict ? skips.length : 0) + (counts.passed === 0 ? 1 : 0);
console.log(`${counts.passed} passed, ${failed} failed${skips.length > 0 ? `, ${skips.length} skipped` : ""}`);
process.exit(failed === 0 ? 0 : 1);
