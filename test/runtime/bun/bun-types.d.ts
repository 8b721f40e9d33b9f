/** What the tests for Bun use of its runner: all of its own types would replace those of Node in every other test. */
declare module "bun:test" {
  export function test(name: string, run: () => Promise<void>, timeoutMillis?: number): void;
  export function afterAll(run: () => Promise<void>): void;
}
