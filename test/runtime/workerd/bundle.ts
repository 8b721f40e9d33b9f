import { build } from "esbuild";

/** A Worker in one file, and what it imports that is not in there. */
export interface WorkerBundle {
  readonly code: string;
  readonly externals: readonly string[];
}

const made = new Map<string, Promise<WorkerBundle>>();

/** Bundles a Worker's entry as a deployment would: for a runtime that has no Node modules. Once for each entry. */
export function bundleWorker(entry: URL): Promise<WorkerBundle> {
  const found = made.get(entry.href) ?? makeBundle(entry);
  made.set(entry.href, found);
  return found;
}

async function makeBundle(entry: URL): Promise<WorkerBundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry.pathname],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["aftercommit-source", "workerd", "worker", "browser"],
    external: ["node:*"],
    logLevel: "silent",
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return { code: outputFiles[0]!.text, externals: imports.map(({ path }) => path) };
}
