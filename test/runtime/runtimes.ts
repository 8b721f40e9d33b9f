import { execFile, spawn } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import type { ScenarioEnv } from "./scenarios/service.ts";
import { bundleWorker } from "./workerd/bundle.ts";

/** A runtime that serves the scenarios. */
export interface RunningRuntime {
  readonly version: string;
  stop(): Promise<void>;
}

/** A runtime that the scenarios are run in. */
export interface Runtime {
  readonly name: string;
  /** Why it cannot be tried on this machine, where it cannot. */
  missing(): Promise<string | undefined>;
  start(env: ScenarioEnv): Promise<RunningRuntime>;
}

const root = new URL("../..", import.meta.url).pathname;
const runner = (name: string): string => `test/runtime/runners/${name}.ts`;
const always = (): Promise<undefined> => Promise.resolve(undefined);
const condition = "--conditions=aftercommit-source";

/** All of them. */
export const RUNTIMES: readonly Runtime[] = [
  {
    name: "Node 20",
    missing: async () => ((await node20()) === undefined ? "no Node 20 on the PATH" : undefined),
    async start(env) {
      // It reads no TypeScript, and gets what a build makes of the same files.
      const folder = await mkdtemp(join(tmpdir(), "aftercommit-scenarios-"));
      const outfile = join(folder, "node.mjs");
      await build({
        entryPoints: [join(root, runner("node"))],
        bundle: true,
        outfile,
        format: "esm",
        platform: "node",
        target: "node20",
        conditions: ["aftercommit-source"],
        // A few of them are CommonJS, and ask for what Node has.
        banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
        logLevel: "silent",
      });
      const running = await startProgram((await node20())!, [outfile], env);
      return {
        ...running,
        async stop() {
          await running.stop();
          await rm(folder, { recursive: true });
        },
      };
    },
  },
  {
    name: "Node 24",
    missing: always,
    start: (env) => startProgram(process.execPath, [condition, runner("node")], env),
  },
  {
    name: "Deno",
    missing: always,
    start: (env) =>
      startProgram("node_modules/.bin/deno", ["run", "-A", "--no-remote", "--cached-only", runner("deno")], env),
  },
  {
    name: "Bun",
    missing: always,
    start: (env) => startProgram("node_modules/.bin/bun", [condition, runner("bun")], env),
  },
  { name: "workerd", missing: always, start: (env) => startWorkerd(env, []) },
  { name: "workerd, nodejs_compat", missing: always, start: (env) => startWorkerd(env, ["nodejs_compat"]) },
];

const START_MILLIS = 30_000;

/** Starts a program of this repository, with little but `env` in its environment; it says its version and URL once it serves. */
async function startProgram(command: string, args: readonly string[], env: ScenarioEnv): Promise<RunningRuntime> {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH, HOME, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    if (child.pid === undefined) return;
    // The command may be a script around the program: the group has both.
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGTERM");
    await exited;
  };
  let printed = "";
  try {
    const version = await new Promise<string>((resolve, reject) => {
      const fail = (how: string): void => reject(new Error(`${command} ${args.join(" ")} ${how}:\n${printed}`));
      const timer = setTimeout(() => fail(`did not serve within ${START_MILLIS} ms`), START_MILLIS);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => {
          printed += String(chunk);
          const said = /^(.*) http:\/\/127\.0\.0\.1:\d+$/m.exec(printed)?.[1];
          if (said === undefined) return;
          clearTimeout(timer);
          resolve(said);
        });
      }
      child.once("error", reject);
      child.once("exit", (code) => fail(`ended with code ${code}`));
    });
    return { version, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startWorkerd(env: ScenarioEnv, compatibilityFlags: string[]): Promise<RunningRuntime> {
  const { code } = await bundleWorker(new URL("runners/worker.ts", import.meta.url));
  const { hostname, port } = new URL(env.PUBLIC_URL);
  const miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: code }],
    host: hostname,
    port: Number(port),
    compatibilityDate: "2026-07-01",
    compatibilityFlags,
    bindings: { ...env },
  });
  await miniflare.ready;
  const { stdout } = await promisify(execFile)("node_modules/.bin/workerd", ["--version"], { cwd: root });
  return { version: stdout.trim(), stop: () => miniflare.dispose() };
}

let sought: Promise<string | undefined> | undefined;

/** A Node 20 on the PATH, which npm puts a newer one before. */
function node20(): Promise<string | undefined> {
  return (sought ??= seekNode20());
}

async function seekNode20(): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "node");
    try {
      await access(path);
      const { stdout } = await promisify(execFile)(path, ["--version"]);
      if (stdout.startsWith("v20.")) return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}
