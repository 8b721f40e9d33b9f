import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What the processes of the bank run. */
export interface Program {
  readonly file: string;
  /** Where Node keeps what it has compiled. */
  readonly cache: string;
}

const ENTRY = fileURLToPath(new URL("bank-process.ts", import.meta.url));

/**
 * Puts the process of the bank into one file: one that is killed every few seconds has to start quickly, and all of its
 * starts are to run the same sources.
 */
export async function buildProgram(directory: string): Promise<Program> {
  const file = join(directory, "bank-process.cjs");
  await build({
    entryPoints: [ENTRY],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "cjs",
    conditions: ["aftercommit-source"],
    external: ["pg-native"],
    logLevel: "error",
  });
  return { file, cache: join(directory, "compiled") };
}
