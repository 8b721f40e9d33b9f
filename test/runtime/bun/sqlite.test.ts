import { execFile } from "node:child_process";
import { expect, test } from "vitest";
import { databaseContract } from "../../../src/testing/index.ts";

const root = new URL("../../..", import.meta.url).pathname;

/** How many tests the contract of a database has. */
function countTests(): number {
  let count = 0;
  const runner = { test: () => count++ };
  databaseContract(runner, () => Promise.reject(new Error("nothing runs here")));
  return count;
}

test.each(["sqlite-contract.bun.ts", "drizzle-contract.bun.ts"])(
  "under Bun's own test runner every test of the database contract passes: %s",
  { timeout: 120_000 },
  async (file) => {
    const { PATH = "", HOME = "" } = process.env;
    const args = ["test", "--conditions=aftercommit-source", `./test/runtime/bun/${file}`];
    const printed = await new Promise<string>((resolve) => {
      const env = { PATH, HOME, NO_COLOR: "1", DO_NOT_TRACK: "1" };
      execFile("node_modules/.bin/bun", args, { cwd: root, env }, (_, stdout, stderr) => resolve(stdout + stderr));
    });
    expect(printed).toContain("\n 0 fail\n");
    expect(printed).toContain(`\n ${countTests()} pass\n`);
  },
);
