import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { denoManifest as deno, entries, manifest, root, specifierOf } from "./manifest.ts";

const sources = Object.fromEntries(
  [...entries].map(([subpath, target]) => [subpath, target["aftercommit-source"]] as const),
);

test("npm and JSR export the same subpaths of the same sources, in the same version", () => {
  expect(deno.exports).toEqual(sources);
  expect(deno.version).toBe(manifest.version);
});

test("on Deno a program of this repository imports the package by the names that others use", () => {
  const names = Object.entries(sources).map(([subpath, source]) => [specifierOf(subpath), source]);
  expect(deno.imports).toEqual(Object.fromEntries(names));
});

test.each([...entries])("the source of %s exists, and its types and code are built from it", (_, target) => {
  const source = target["aftercommit-source"];
  expect(existsSync(new URL(source, root))).toBe(true);
  expect(target.types).toBe(source.replace(/^\.\/(.*)\.ts$/, "./dist/$1.d.ts"));
  expect(target.default).toBe(source.replace(/^\.\/(.*)\.ts$/, "./dist/$1.js"));
});

test("the package has no dependencies, and of its peers only hono is required", () => {
  expect(Object.keys(manifest.dependencies ?? {})).toEqual([]);
  const required = Object.keys(manifest.peerDependencies).filter(
    (name) => manifest.peerDependenciesMeta[name]?.optional !== true,
  );
  expect(required).toEqual(["hono"]);
});
