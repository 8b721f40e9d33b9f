import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { entries, manifest, root, specifierOf } from "./manifest.ts";

const run = promisify(execFile);

/** Of the processor: the machine may have other work. */
const COLD_IMPORT_MILLIS = 15;

/** What the build reads. The repository itself stays as it is, and others may build in it meanwhile. */
const INGREDIENTS = [".ci", "package.json", "tsconfig.json", "src", "adapters", "README.md", "LICENSE", "CHANGELOG.md"];

let workshop = "";
let tarball = "";
let project = "";

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-package-"));
  workshop = join(directory, "workshop");
  project = join(directory, "project");
  await mkdir(workshop);
  for (const name of INGREDIENTS) await cp(new URL(name, root), join(workshop, name), { recursive: true });
  await symlink(new URL("node_modules", root), join(workshop, "node_modules"));
  await npm("run", "build");
  await npm("pack", "--pack-destination", directory);

  const modules = join(project, "node_modules");
  for (const scope of ["@upstash", "@hono"]) await mkdir(join(modules, scope), { recursive: true });
  await mkdir(join(modules, "aftercommit"));
  tarball = join(directory, `aftercommit-${manifest.version}.tgz`);
  await run("tar", ["-xzf", tarball, "-C", join(modules, "aftercommit"), "--strip-components=1"]);
  for (const peer of Object.keys(manifest.peerDependencies)) {
    await symlink(new URL(`node_modules/${peer}`, root), join(modules, peer));
  }
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
});

afterAll(() => rm(join(workshop, ".."), { recursive: true, force: true }));

function npm(...args: string[]) {
  const env = { ...process.env, npm_config_update_notifier: "false", npm_config_offline: "true" };
  return run("npm", args, { cwd: workshop, env });
}

/** Every Node on the PATH but for those that npm put there, oldest first; the one that runs the tests where there is no other. */
async function nodes(): Promise<readonly { readonly path: string; readonly version: string }[]> {
  const found = new Map<string, string>();
  for (const folder of new Set((process.env.PATH ?? "").split(delimiter))) {
    if (folder.includes("node_modules")) continue;
    const path = join(folder, "node");
    const version = await run(path, ["--version"]).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
    if (version !== undefined && Number(version.slice(1).split(".")[0]) >= 20) found.set(version, path);
  }
  if (found.size === 0) found.set(process.version, process.execPath);
  return [...found]
    .map(([version, path]) => ({ version, path }))
    .toSorted((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));
}

const [oldest] = await nodes();
console.log(`the packed package runs on Node ${oldest!.version}`);

/** Runs a module in the project that has the package installed; what it writes to standard output is JSON. */
async function inProject(code: string): Promise<unknown> {
  const file = join(project, "program.mjs");
  await writeFile(file, code);
  const { stdout } = await run(oldest!.path, [file], { cwd: project });
  return JSON.parse(stdout);
}

describe("the packed package", () => {
  test.each([...entries])("has at %s what its source exports", async (subpath, target) => {
    const source = (await import(new URL(target["aftercommit-source"], root).href)) as object;
    const code = `console.log(JSON.stringify(Object.keys(await import("${specifierOf(subpath)}"))));`;
    expect(await inProject(code)).toEqual(Object.keys(source).toSorted());
  });

  test.each([
    ["Deno", "deno", ["run", "-A", "--no-remote", "--cached-only", "--node-modules-dir=manual"]],
    ["Bun", "bun", []],
  ] as const)("can be imported on %s, every subpath of it", async (_, command, args) => {
    const file = join(project, "entries.mjs");
    const names = [...entries.keys()].map(specifierOf);
    await writeFile(
      file,
      `const found = {};
      for (const name of ${JSON.stringify(names)}) found[name] = Object.keys(await import(name)).length > 0;
      console.log(JSON.stringify(found));`,
    );
    const path = new URL(`node_modules/.bin/${command}`, root).pathname;
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
    const { stdout } = await run(path, [...args, file], { cwd: project, env });
    expect(JSON.parse(stdout)).toEqual(Object.fromEntries(names.map((name) => [name, true])));
  });

  test("is in order for publint", async () => {
    const { messages, pkg } = await publint({ pkgDir: join(project, "node_modules/aftercommit"), pack: false });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  test("has the right types for every way in which an ES module is resolved", async () => {
    const attw = new URL("node_modules/.bin/attw", root).pathname;
    // It ends with another code where it finds a problem, and says which.
    const { stdout } = await run(attw, [tarball, "--profile", "esm-only", "--format", "ascii"]);
    expect(stdout).toContain("aftercommit/qstash");
  });

  test("is imported without delay", async () => {
    const millis: number[] = [];
    for (let run = 0; run < 9; run++) {
      const code = `
        await import("hono");
        const before = process.cpuUsage();
        await import("aftercommit");
        const { user, system } = process.cpuUsage(before);
        console.log((user + system) / 1_000);`;
      millis.push(Number(await inProject(code)));
    }
    const least = Math.min(...millis);
    console.log(`a cold import of "aftercommit" took ${least.toFixed(1)} ms of the processor`);
    expect(least).toBeLessThan(COLD_IMPORT_MILLIS);
  });

  test("carries code, types and sources, and nothing else", async () => {
    const inside = await readdir(join(project, "node_modules/aftercommit"));
    expect(inside.toSorted()).toEqual(
      ["CHANGELOG.md", "LICENSE", "README.md", "adapters", "dist", "package.json", "src"].toSorted(),
    );
  });

  test("brings a message from a request to its consumer", async () => {
    expect(
      await inProject(`
        import { aftercommit, topic } from "aftercommit";
        import { startDevServer } from "aftercommit/dev";
        import { qstash } from "aftercommit/qstash";
        import { upstashRedis } from "aftercommit/upstash-redis";
        import { Client } from "@upstash/qstash";
        import { Redis } from "@upstash/redis";
        import { Hono } from "hono";
        import * as z from "zod/mini";

        const app = new Hono();
        const dev = await startDevServer({ qstash: { fetch: (input, init) => app.request(input, init) } });
        const paid = topic("order.paid", z.object({ orderId: z.string() }));
        const ac = aftercommit({
          publicUrl: "http://127.0.0.1:3000",
          dev: true,
          log: upstashRedis(new Redis({ url: dev.redis.url, token: dev.redis.token })),
          transport: qstash({ client: new Client({ baseUrl: dev.qstash.url, token: dev.qstash.token }), ...dev.qstash }),
          routes: { [paid.name]: ["/receipt"] },
        });
        const consumed = [];
        app.post("/orders", ac.transaction(), async (c) => {
          await c.var.tx.publish(paid, { orderId: "1" });
          return c.json({}, 201);
        });
        app.post("/receipt", ac.consumer(paid, async (message) => void consumed.push(message.data)));
        const { status } = await app.request("/orders", { method: "POST" });
        await ac.drain();
        await dev.qstash.engine.idle();
        await ac.drain();
        const { unsettled } = await ac.operator().log.counts();
        await dev.close();
        console.log(JSON.stringify({ status, consumed, unsettled }));
      `),
    ).toEqual({ status: 201, consumed: [{ orderId: "1" }], unsettled: 0 });
  });

  test("has types for every entry, without the sources and without Node's", async () => {
    const program = [...entries.keys()]
      .map((subpath, i) => `export * as entry${i} from "${specifierOf(subpath)}";`)
      .join("\n");
    await writeFile(join(project, "program.ts"), program);
    await writeFile(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { module: "NodeNext", target: "ES2022", strict: true, noEmit: true, types: [] },
        files: ["program.ts"],
      }),
    );
    const tsc = new URL("node_modules/.bin/tsc", root).pathname;
    const { stdout } = await run(tsc, ["-p", project]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  });
});
