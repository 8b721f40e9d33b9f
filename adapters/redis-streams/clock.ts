import type { Clock } from "../../src/ports/clock.ts";

/** The runtime's own clock. Unlike the core's, its sleep keeps a process alive: a worker that waits for messages has work. */
export const workerClock: Clock = {
  now: () => Date.now(),
  sleep: (millis, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const timer = setTimeout(done, Math.min(Math.max(0, millis), 2 ** 31 - 1));
      signal?.addEventListener("abort", done, { once: true });

      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      }
    }),
};
