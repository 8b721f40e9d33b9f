import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "./manifest.ts";

/** Some entries of the package in one file. */
export interface Bundle {
  readonly code: string;
  /** What it imports that is not in there. */
  readonly externals: readonly string[];
  /** Bytes by source file. */
  readonly sizes: ReadonlyMap<string, number>;
}

export interface BundleOptions {
  readonly minify?: boolean;
  /** The packages to take in too; all others stay out. @default none */
  readonly inline?: readonly string[];
  readonly format?: "esm" | "iife";
  /** The conditions under which packages export. @default none */
  readonly conditions?: readonly string[];
}

/** Bundles everything that these sources export, without anything that is not this package's. */
export async function bundle(sources: readonly string[], options: BundleOptions = {}): Promise<Bundle> {
  const { minify = false, inline = [], format = "esm", conditions = [] } = options;
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: sources.map((source) => `export * from ${JSON.stringify(source)};`).join("\n"),
      resolveDir: root.pathname,
      loader: "ts",
    },
    bundle: true,
    write: false,
    metafile: true,
    minify,
    minifyWhitespace: true,
    format,
    target: "es2022",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: [...conditions],
    legalComments: "none",
    logLevel: "silent",
    plugins: [
      {
        name: "only-this-package",
        setup({ onResolve }) {
          onResolve({ filter: /^[^./]/ }, ({ path }) =>
            inline.some((name) => path === name || path.startsWith(`${name}/`)) ? undefined : { path, external: true },
          );
        },
      },
    ],
  });
  const [output] = Object.values(metafile.outputs);
  const sizes = Object.entries(output!.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput] as const);
  return {
    code: outputFiles[0]!.text,
    externals: [...new Set(output!.imports.map(({ path }) => path))],
    sizes: new Map(sizes),
  };
}

/** What goes over the wire. */
export function gzipBytes(code: string): number {
  return gzipSync(code, { level: 9 }).length;
}
