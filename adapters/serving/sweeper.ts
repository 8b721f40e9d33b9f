import { systemClock } from "../../src/system/clock.ts";
import type { ServiceLike } from "./options.ts";

/** What sweeps now and then. */
export interface Sweeper {
  /** Whether a sweep is running. */
  sweeping(): boolean;
  /** Begins no other sweep; resolves when the one that runs has ended. Sweeps are not broken off. */
  stop(): Promise<void>;
}

/** How a sweeper goes about it. */
export interface SweeperOptions {
  /** How far apart sweeps are: the wait after each is between three and five quarters of it. */
  readonly everyMillis: number;
  /** How long one sweep goes on claiming. */
  readonly maxMillis: number;
  /** Told of what a sweep threw; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/**
 * Sweeps now and then, one sweep at a time, until it is stopped. The first comes after a random part of the interval:
 * processes that start together do not sweep together. Its timer does not keep a process alive.
 */
export function startSweeper(ac: ServiceLike, options: SweeperOptions): Sweeper {
  const { everyMillis, maxMillis, onError, random = Math.random } = options;
  const stopping = new AbortController();
  let running = false;

  const sweepOnce = async (): Promise<void> => {
    running = true;
    try {
      await ac.operator().sweep({ maxMillis });
    } catch (error) {
      onError(error);
    } finally {
      running = false;
    }
  };
  const ended = (async () => {
    let wait = everyMillis * random();
    for (;;) {
      await systemClock.sleep(wait, stopping.signal);
      if (stopping.signal.aborted) return;
      await sweepOnce();
      wait = everyMillis * (0.75 + random() / 2);
    }
  })();

  return {
    sweeping: () => running,
    stop() {
      stopping.abort("stopped");
      return ended;
    },
  };
}
