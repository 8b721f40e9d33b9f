import type { Clock } from "../ports/clock.ts";

/** The runtime's own clock and timers. A sleep does not keep a Node process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (millis, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const timer: unknown = setTimeout(done, Math.min(millis, 2 ** 31 - 1));
      signal?.addEventListener("abort", done, { once: true });
      if (typeof timer === "object" && timer !== null && "unref" in timer) (timer.unref as () => void)();

      function done(): void {
        clearTimeout(timer as number);
        signal?.removeEventListener("abort", done);
        resolve();
      }
    }),
};
