import { bundle, gzipBytes } from "./bundle.ts";
import type { Bundle } from "./bundle.ts";
import { entries } from "./manifest.ts";

/** What an app on the edge takes in, with hono, zod and the clients apart. */
export const CORE = [".", "./qstash", "./upstash-redis"] as const;
/** What is no part of an app, or of none on the edge. */
const NOT_SHIPPED = new Set(["./dev", "./testing", "./node"]);

/** Bytes, minified; compressed where it says so. */
export interface Sizes {
  /** Middleware, consumers, recovery, operations, Redis log, QStash transport and verifier. */
  readonly coreGzip: number;
  /** A complete Worker with hono/tiny, zod/mini and both Upstash clients. */
  readonly workerGzip: number;
  /** What each entry would add by itself. */
  readonly entries: Readonly<Record<string, { readonly minified: number; readonly gzip: number }>>;
}

/** Measures them; and what of the core comes from which folder, in minified bytes. */
export async function measureSizes(): Promise<{
  readonly sizes: Sizes;
  readonly folders: ReadonlyMap<string, number>;
}> {
  const shipped = [...entries.keys()].filter((subpath) => !NOT_SHIPPED.has(subpath));
  const each: Record<string, { minified: number; gzip: number }> = {};
  for (const subpath of shipped) {
    const { code } = await bundleOf([subpath]);
    each[subpath] = { minified: code.length, gzip: gzipBytes(code) };
  }
  const core = await bundleOf(CORE);
  const worker = await bundle([new URL("worker-app.ts", import.meta.url).pathname], {
    minify: true,
    inline: [
      "aftercommit",
      "hono",
      "zod",
      "@upstash/qstash",
      "@upstash/redis",
      "uncrypto",
      "jose",
      "neverthrow",
      "crypto-js",
    ],
    conditions: ["aftercommit-source", "workerd", "worker", "browser"],
  });
  const folders = new Map<string, number>();
  for (const [path, bytes] of core.sizes) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    folders.set(folder, (folders.get(folder) ?? 0) + bytes);
  }
  return { sizes: { coreGzip: gzipBytes(core.code), workerGzip: gzipBytes(worker.code), entries: each }, folders };
}

function bundleOf(subpaths: readonly string[]): Promise<Bundle> {
  return bundle(
    subpaths.map((subpath) => entries.get(subpath)!["aftercommit-source"]),
    { minify: true },
  );
}
