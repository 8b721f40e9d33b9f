import type { Clock } from "../ports/clock.ts";

/** A clock that stands still until it is told to go on. */
export interface SimulatedClock extends Clock {
  /**
   * Goes on by `millis`. Whoever sleeps until then wakes at the right moment, in the order of their times, and does what
   * it has to do before the next one wakes; sleeps that begin meanwhile are counted too.
   */
  advance(millis: number): Promise<void>;
  /** How many sleep. */
  readonly sleepers: number;
}

/** Where a simulated clock starts: 2027-01-15T08:00:00Z. */
export const DEFAULT_START = 1_800_000_000_000;

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/**
 * A clock for tests: time passes only in {@link SimulatedClock.advance}.
 *
 * @example
 * ```ts
 * const clock = simulatedClock();
 * const log = memoryStore({ clock });
 * await clock.advance(60_000);
 * ```
 */
export function simulatedClock(start: number = DEFAULT_START): SimulatedClock {
  let now = start;
  const sleeping = new Set<Sleeper>();

  const nextUntil = (end: number): Sleeper | undefined => {
    let next: Sleeper | undefined;
    for (const sleeper of sleeping) {
      if (sleeper.at <= end && (next === undefined || sleeper.at < next.at)) next = sleeper;
    }
    return next;
  };

  return {
    now: () => now,

    sleep: (millis, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper: Sleeper = { at: now + Math.max(0, millis), wake };
        sleeping.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });

        function wake(): void {
          sleeping.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        }
      }),

    async advance(millis) {
      const end = now + Math.max(0, millis);
      await pendingWork();
      for (let next = nextUntil(end); next !== undefined; next = nextUntil(end)) {
        now = Math.max(now, next.at);
        next.wake();
        await pendingWork();
      }
      now = end;
    },

    get sleepers() {
      return sleeping.size;
    },
  };
}

/** One turn of the event loop: whatever only waits for promises is done by then. */
function pendingWork(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
