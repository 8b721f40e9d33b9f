import type { LogStore } from "../ports/log-store.ts";

/** An empty store, and what a suite may do to it from outside. */
export interface StoreUnderTest {
  /** The store. */
  readonly store: LogStore;
  /** Lets so much time pass on the store's own clock: moves a simulated one, waits for a real one. */
  advance(millis: number): Promise<void>;
  /** Ends the store and what it holds. */
  dispose(): Promise<void>;
  /** Puts a record among what is due that no release can read; the tests about such records are left out without it. */
  plant?(raw: string): Promise<void>;
  /** Names whatever the store keeps besides decisions, marks and its inbox; the tests of what is left over need it. */
  leftovers?(): Promise<readonly string[]>;
}

/** Makes a store that shares nothing with those made before. */
export type MakeStore = () => Promise<StoreUnderTest>;

/** Runs a test with a store of its own. */
export async function withStore(make: MakeStore, run: (tested: StoreUnderTest) => Promise<void>): Promise<void> {
  const tested = await make();
  try {
    await run(tested);
  } finally {
    await tested.dispose();
  }
}
