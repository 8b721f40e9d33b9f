import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = new URL("../../../", import.meta.url);
// Inside the repository, so that "aftercommit" is this package.
const folder = new URL(".tmp/worker-types/", root);

/** What the compiler says of a Worker, where Cloudflare's types are global, as in most projects. */
async function complaintsAbout(source: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL("worker.ts", folder), source);
  const config = {
    extends: "../../test/tsconfig.json",
    compilerOptions: {
      rootDir: "../..",
      noUnusedLocals: false,
      types: ["@cloudflare/workers-types"],
      lib: ["ES2024", "ESNext.Disposable"],
    },
    include: ["*.ts"],
    exclude: [],
  };
  writeFileSync(new URL("tsconfig.json", folder), JSON.stringify(config));
  const tsc = new URL("node_modules/.bin/tsc", root).pathname;
  const { stdout } = await promisify(execFile)(tsc, ["-p", ".", "--pretty", "false"], { cwd: folder }).catch(
    (error: { stdout: string }) => error,
  );
  // The package's own sources are compiled for every runtime; a Worker's author has its declarations.
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("worker.ts"))
    .join("\n");
}

const worker = (handlers: string) => `
import { aftercommit } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { worker } from "aftercommit/cloudflare";
import { cloudflareQueues, queueHandler } from "aftercommit/cloudflare-queues";
import { d1 } from "aftercommit/sql";
import { Hono } from "hono";

interface Env { readonly DB: D1Database; readonly ORDERS: Queue }
const ac = aftercommit<Env>((env) => ({
  databases: { main: d1(env.DB) },
  transport: cloudflareQueues({ orders: env.ORDERS }),
}));
const app = new Hono<AftercommitEnv<Env>>();
export default worker(app, ac, ${handlers}) satisfies ExportedHandler<Env>;
`;

test("a Worker's handlers are what Cloudflare's types ask for", async () => {
  expect(
    await complaintsAbout(
      worker(
        `{ crons: { "0 3 * * *": (controller, env) => console.log(controller.cron, env.DB) }, queue: queueHandler(ac) }`,
      ),
    ),
  ).toBe("");
  const own = "{ queue: async (batch: MessageBatch, env) => { batch.ackAll(); await env.DB.exec('select 1'); } }";
  expect(await complaintsAbout(worker(own))).toBe("");
});

test("a job that is none is refused by the compiler", async () => {
  expect(await complaintsAbout(worker(`{ crons: { "0 3 * * *": "sleep" } }`))).toMatch(/worker\.ts.*"sleep"/);
});
