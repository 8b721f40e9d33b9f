import type { Clock } from "../ports/clock.ts";
import type { PayloadStore } from "../ports/payload-store.ts";
import { systemClock } from "../system/clock.ts";

/** Options of a memory payload store. */
export interface MemoryPayloadStoreOptions {
  /** The store's own clock. @default systemClock */
  readonly clock?: Clock;
}

/** A payload store that can be looked into. */
export interface MemoryPayloadStore extends PayloadStore {
  /** What it holds by now, by key. */
  texts(): ReadonlyMap<string, string>;
}

/** A payload store in memory, for tests. It ends with the process, so it keeps nothing that matters. */
export function memoryPayloadStore({ clock = systemClock }: MemoryPayloadStoreOptions = {}): MemoryPayloadStore {
  const kept = new Map<string, { readonly text: string; readonly until: number }>();
  const expire = (): void => {
    for (const [key, { until }] of kept) if (clock.now() > until) kept.delete(key);
  };
  return {
    async put(key, text, keepMillis) {
      kept.set(key, { text, until: clock.now() + keepMillis });
    },
    async get(key) {
      expire();
      return kept.get(key)?.text;
    },
    async delete(key) {
      kept.delete(key);
    },
    texts() {
      expire();
      return new Map([...kept].map(([key, { text }]) => [key, text]));
    },
  };
}
