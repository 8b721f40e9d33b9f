import { measureSizes } from "./sizes.ts";

/** `npm run size`: what the package adds to an app, as tables; with `--json` as one object. */

const { sizes, folders } = await measureSizes();
if (process.argv.includes("--json")) console.log(JSON.stringify(sizes));
else {
  const kilobytes = (bytes: number): string => `${(bytes / 1_024).toFixed(1)} KB`;
  const row = ({ minified, gzip }: { readonly minified: number; readonly gzip: number }) => ({
    minified: kilobytes(minified),
    gzip: kilobytes(gzip),
  });
  console.table(Object.fromEntries(Object.entries(sizes.entries).map(([subpath, size]) => [subpath, row(size)])));
  const parts = [...folders].toSorted(([, a], [, b]) => b - a);
  console.table(Object.fromEntries(parts.map(([folder, bytes]) => [folder, { minified: kilobytes(bytes) }])));
  console.log(`core ${kilobytes(sizes.coreGzip)}, a complete Worker ${kilobytes(sizes.workerGzip)}, both compressed`);
}
