import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Dialect } from "../../../adapters/sql/index.ts";

/** A Prisma client as `prisma generate` has written it. */
export interface GeneratedPrisma {
  /** The directory of its sources, `client.ts` among them. */
  readonly directory: string;
  /** The module. */
  load(): Promise<unknown>;
  /** Removes it. */
  dispose(): Promise<void>;
}

const REPOSITORY = new URL("../../..", import.meta.url).pathname;
const PRISMA = join(REPOSITORY, "node_modules", "prisma", "build", "index.js");

const run = promisify(execFile);

/** Generates a client for a schema of these models; inside of the repository, so that it finds Prisma's runtime. */
export async function generatePrisma(dialect: Dialect["name"], models: string): Promise<GeneratedPrisma> {
  await mkdir(join(REPOSITORY, ".tmp"), { recursive: true });
  const directory = await mkdtemp(join(REPOSITORY, ".tmp", "prisma-"));
  const schema = join(directory, "schema.prisma");
  await writeFile(
    schema,
    `datasource db {
  provider = "${dialect}"
}
generator client {
  provider = "prisma-client"
  output = "./client"
}
${models}
`,
  );
  // Nothing is migrated: the engine for that, which Prisma would fetch, only has to be a file that is there.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: "1" };
  await run(process.execPath, [PRISMA, "generate", "--schema", schema], { cwd: directory, env });
  const client = join(directory, "client");
  return {
    directory: client,
    load: () => import(/* @vite-ignore */ pathToFileURL(join(client, "client.ts")).href),
    dispose: () => rm(directory, { recursive: true }),
  };
}
