import { expect, test } from "vitest";
import { bundle, gzipBytes } from "./bundle.ts";
import { entries } from "./manifest.ts";

/** What an app on the edge takes in, with hono, zod and the clients apart. */
const core = [".", "./qstash", "./upstash-redis"];
/** Near the measured size, so that growth is a decision. */
const LIMIT_KILOBYTES = 39;

const kilobytes = (bytes: number): string => `${(bytes / 1_024).toFixed(2)} KB`;

test(`the core with QStash and Upstash Redis is at most ${LIMIT_KILOBYTES} KB, minified and compressed`, async () => {
  const rows: Record<string, { minified: string; gzip: string }> = {};
  const measure = async (name: string, subpaths: readonly string[]) => {
    const sources = subpaths.map((subpath) => entries.get(subpath)!["aftercommit-source"]);
    const found = await bundle(sources, { minify: true });
    const gzip = gzipBytes(found.code);
    rows[name] = { minified: kilobytes(found.code.length), gzip: kilobytes(gzip) };
    return { ...found, gzip };
  };
  for (const subpath of [...core, "./redis", "./sql", "./memory"]) await measure(subpath, [subpath]);
  const { gzip, sizes } = await measure(core.join(" + "), core);
  console.table(rows);

  const folders = new Map<string, number>();
  for (const [path, bytes] of sizes) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    folders.set(folder, (folders.get(folder) ?? 0) + bytes);
  }
  const parts = [...folders].toSorted(([, a], [, b]) => b - a);
  console.table(Object.fromEntries(parts.map(([folder, bytes]) => [folder, { minified: kilobytes(bytes) }])));
  expect(gzip / 1_024).toBeLessThanOrEqual(LIMIT_KILOBYTES);
});
