import { AftercommitError } from "../../../src/errors.ts";

/** An optional package that cannot be loaded: `fengari`, which runs scripts, or `redis`, which reaches a server. */
export class PackageMissingError extends AftercommitError {
  /** The name of the package. */
  readonly packageName: string;

  /** Names the package, what it is for, and the error of loading it. */
  constructor(packageName: string, purpose: string, cause: unknown) {
    super("ERR_CONFIGURATION", `Expected the package "${packageName}" to ${purpose}, but it cannot be loaded.`, {
      hint: `Install it: npm install --save-dev ${packageName}`,
      cause,
    });
    this.packageName = packageName;
  }
}
