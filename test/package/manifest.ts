import { readFileSync } from "node:fs";

/** The repository's folder, with a slash at its end. */
export const root: URL = new URL("../../", import.meta.url);

/** What one subpath of the package leads to. */
export interface Target {
  readonly "aftercommit-source": string;
  readonly types: string;
  readonly default: string;
}

/** What the tests read of package.json. */
export interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, Target | string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** What the tests read of deno.json. */
export interface DenoManifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

export const manifest = readJson("package.json") as Manifest;
export const denoManifest = readJson("deno.json") as DenoManifest;

/** The subpaths with code behind them, `.` among them, and where their source is. */
export const entries: ReadonlyMap<string, Target> = new Map(
  Object.entries(manifest.exports).filter((entry): entry is [string, Target] => typeof entry[1] === "object"),
);

/** The name by which a program imports a subpath. */
export function specifierOf(subpath: string): string {
  return `aftercommit${subpath.slice(1)}`;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, root), "utf8"));
}
