/**
 * Writes the package's code: a file for each entry of `package.json`, and one for each part that several of them share. A
 * file for each module would take a program on Node several times as long to load. Types are the compiler's work.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { build } from "esbuild";

const { exports } = JSON.parse(await readFile("package.json", "utf8"));
const sources = Object.values(exports).flatMap((target) => target["aftercommit-source"] ?? []);

const { outputFiles } = await build({
  entryPoints: sources,
  outbase: ".",
  outdir: "dist",
  chunkNames: "chunks/[hash]",
  bundle: true,
  splitting: true,
  write: false,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  packages: "external",
  sourcemap: true,
  sourcesContent: false,
  logLevel: "error",
});

/** An import for the sake of order alone; no module has side effects, and a bundler would remark on it. */
const BARE_IMPORT = /^import "\.[^"]*";$/gm;

for (const { path, text } of outputFiles) {
  await mkdir(dirname(path), { recursive: true });
  // The line stays, so that the map still fits.
  await writeFile(path, path.endsWith(".js") ? text.replace(BARE_IMPORT, "") : text);
}
