import { describe, test } from "vitest";
import { memoryStore } from "../../src/memory/index.ts";
import { logStoreContract, simulatedClock } from "../../src/testing/index.ts";

for (const shards of [1, 4]) {
  describe(`the memory store with shards: ${shards}`, () => {
    logStoreContract({ test }, async () => {
      const clock = simulatedClock();
      const store = memoryStore({ clock, shards });
      return {
        store,
        advance: (millis) => clock.advance(millis),
        dispose: async () => {},
        leftovers: async () => {
          const { due, held, dead } = store.snapshot();
          return [...due, ...held, ...dead].map(([key]) => key);
        },
      };
    });
  });
}
