import { execFile } from "node:child_process";
import { expect, test } from "vitest";

const root = new URL("../../..", import.meta.url).pathname;
const TIMEOUT_MILLIS = 120_000;

/** Types of hono, which its documentation explains and ours cannot. */
const OF_HONO = /references private type '(Context|Handler|Hono|MiddlewareHandler)'/;

/** Runs a command of Deno in the repository; resolves to its exit code and all that it printed. */
function deno(...args: string[]): Promise<{ readonly code: number; readonly printed: string }> {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
  return new Promise((resolve) => {
    const child = execFile("node_modules/.bin/deno", args, { cwd: root, env }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? 1, printed: stdout + stderr }),
    );
  });
}

test("every entry and the shop pass Deno's type check", { timeout: TIMEOUT_MILLIS }, async () => {
  const { code, printed } = await deno("task", "check");
  expect(code, printed).toBe(0);
});

test("JSR would take the package: all its files, and no slow types", { timeout: TIMEOUT_MILLIS }, async () => {
  const { code, printed } = await deno("publish", "--dry-run", "--allow-dirty", "--no-check");
  expect(code, printed).toBe(0);
  expect(printed).toContain("Dry run complete");
});

test("every exported symbol is documented", { timeout: TIMEOUT_MILLIS }, async () => {
  const { printed } = await deno("task", "doc-lint");
  const complaints = printed.match(/^error\[.*\n.*$/gm) ?? [];
  expect(complaints.filter((complaint) => !OF_HONO.test(complaint))).toEqual([]);
  expect(printed).toMatch(/^error: Found \d+ documentation lint errors?|^Checked \d+ file/m);
});
