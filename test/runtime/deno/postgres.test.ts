import { execFile } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import { databaseContract } from "../../../src/testing/index.ts";
import { startPostgresServer } from "../../support/postgres-server.ts";

const root = new URL("../../..", import.meta.url).pathname;
const CLIENTS = 2;

const server = await startPostgresServer();
afterAll(() => server?.stop());

/** How many tests the contract of a database has. */
function countTests(): number {
  let count = 0;
  const runner = { test: () => count++ };
  databaseContract(runner, () => Promise.reject(new Error("nothing runs here")));
  return count;
}

test.skipIf(server === undefined)(
  "under Deno's own test runner every test of the database contract passes, through postgres.js and through pg",
  { timeout: 300_000 },
  async () => {
    const { PATH = "", HOME = "" } = process.env;
    const file = "test/runtime/deno/postgres-contract.deno.ts";
    const args = ["test", "-A", "--no-check", "--no-remote", "--cached-only", file];
    const printed = await new Promise<string>((resolve) => {
      const env = { PATH, HOME, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", DATABASE_URL: server!.url("postgres") };
      execFile("node_modules/.bin/deno", args, { cwd: root, env, maxBuffer: 64e6 }, (_, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
    expect(printed).toContain(`ok | ${CLIENTS * countTests()} passed | 0 failed`);
  },
);
