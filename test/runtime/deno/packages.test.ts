import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const root = new URL("../../..", import.meta.url).pathname;
const TIMEOUT_MILLIS = 120_000;

/** What a package from npm and one from JSR have in common: a program with a message in it, on Deno's own server. */
const programOf = (from: (subpath: string) => string): string => `
  import { aftercommit, topic } from "${from("")}";
  import { cron, serve } from "${from("/deno")}";
  import { memoryReceiver, memoryStore, memoryTransport } from "${from("/memory")}";
  import { Hono } from "npm:hono";
  import * as z from "npm:zod/mini";

  const receiver = memoryReceiver();
  const transport = memoryTransport({ receiver });
  const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));
  const ac = aftercommit({
    publicUrl: "https://shop.example.com",
    log: memoryStore(),
    transport,
    routes: { [orderPaid.name]: ["/receipt"] },
  });
  const app = new Hono();
  app.post("/orders", ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "1" });
    return c.json({}, 201);
  });
  const swept = cron(ac);
  const server = await serve(app, { ac, port: 0, hostname: "127.0.0.1" });
  const { status } = await fetch(\`http://127.0.0.1:\${server.port}/orders\`, { method: "POST" });
  const { clean } = await server.close();
  console.log(JSON.stringify({ status, swept, clean, published: transport.accepted.length }));
  Deno.exit();
`;

async function deno(directory: string, ...args: string[]): Promise<unknown> {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
  const program = join(root, "node_modules/.bin/deno");
  const { stdout } = await run(program, args, { cwd: directory, env });
  return JSON.parse(stdout);
}

async function newProject(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-deno-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const RAN = { status: 201, swept: true, clean: true, published: 1 };
const FLAGS = ["run", "-A", "--no-remote", "--cached-only", "--unstable-cron"];

test("a program on Deno takes the package from npm", { timeout: TIMEOUT_MILLIS }, async () => {
  const project = await newProject();
  const modules = join(project, "node_modules");
  const installed = join(modules, "aftercommit");
  await mkdir(installed, { recursive: true });
  for (const name of ["package.json", "tsconfig.json", "src", "adapters"]) {
    await cp(join(root, name), join(installed, name), { recursive: true });
  }
  for (const peer of ["hono", "zod"]) await symlink(join(root, "node_modules", peer), join(modules, peer));
  const { stdout } = await run(join(root, "node_modules/.bin/tsc"), ["-p", installed], { cwd: root }).catch(
    (error: { readonly stdout: string }) => error,
  );
  expect(stdout, "what the compiler says").toBe("");
  await rm(join(installed, "src"), { recursive: true });
  await rm(join(installed, "adapters"), { recursive: true });
  const packages = { aftercommit: "0.1.0", hono: "4", zod: "4" };
  await writeFile(join(project, "package.json"), JSON.stringify({ type: "module", dependencies: packages }));
  await writeFile(
    join(project, "main.ts"),
    programOf((subpath) => `npm:aftercommit${subpath}`),
  );
  expect(await deno(project, ...FLAGS, "main.ts")).toEqual(RAN);
});

test(
  "a program on Deno takes the package as JSR publishes it: its sources, by its own list of them",
  { timeout: TIMEOUT_MILLIS },
  async () => {
    const project = await newProject();
    const { name, exports } = JSON.parse(await readFile(join(root, "deno.json"), "utf8")) as {
      readonly name: string;
      readonly exports: Readonly<Record<string, string>>;
    };
    await cp(join(root, "src"), join(project, "src"), { recursive: true });
    await cp(join(root, "adapters"), join(project, "adapters"), { recursive: true });
    await symlink(join(root, "node_modules"), join(project, "node_modules"));
    await cp(join(root, "package.json"), join(project, "package.json"));
    const imports = Object.fromEntries(
      Object.entries(exports).map(([subpath, source]) => [`jsr:${name}${subpath.slice(1)}`, source]),
    );
    await writeFile(join(project, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", imports }));
    await writeFile(
      join(project, "main.ts"),
      programOf((subpath) => `jsr:${name}${subpath}`),
    );
    expect(await deno(project, ...FLAGS, "main.ts")).toEqual(RAN);
  },
);
