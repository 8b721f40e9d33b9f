import { ConfigurationError } from "../errors.ts";
import type { Background } from "./background.ts";
import type { Service } from "./configuration.ts";

/** What the other entries of this package need of a service, and its users do not. */
export interface Internals {
  /** The service of a request's environment. */
  readonly serviceOf: (env: unknown) => Service;
  readonly after: Background;
  /** Tells that a part of the app needs an inbox, and perhaps a database. Throws where a plain configuration has none. */
  readonly need: (database: string | undefined) => void;
}

const known = new WeakMap<object, Internals>();

/** Keeps what the other entries of this package need of a service. */
export function keepInternals(ac: object, internals: Internals): void {
  known.set(ac, internals);
}

/**
 * What was kept of a service.
 *
 * @throws {ConfigurationError} where it is none of this copy of the package.
 */
export function internalsOf(ac: object): Internals {
  const found = known.get(ac);
  if (found !== undefined) return found;
  throw new ConfigurationError([
    {
      path: "ac",
      expected: "what aftercommit(…) has returned",
      found: "another object",
      remedy: "Pass it as it is, and import everything from one copy of the package.",
    },
  ]);
}
