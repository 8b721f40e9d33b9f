/**
 * What a contract suite needs of a test framework: a way to name a test. Vitest, `Deno.test`, `bun:test` and `node:test`
 * all fit as they are.
 *
 * @example
 * ```ts
 * import { test } from "vitest";
 * transactionLogContract({ test }, makeStore);
 * ```
 */
export interface ContractRunner {
  /** Registers a test; it fails if the promise rejects. */
  test(name: string, run: () => Promise<void>): unknown;
}
