/** Runs `run` once after `millis`; the returned function cancels it. Tests inject a simulated one. */
export type SetTimer = (run: () => void, millis: number) => () => void;

/** What the platform's `setTimeout` can wait at most; longer waits are chained. */
const LONGEST_TIMEOUT_MILLIS = 2 ** 31 - 1;

/** The platform's own timer, also for waits that are longer than `setTimeout` can count. */
export function systemTimer(run: () => void, millis: number): () => void {
  let timeout: ReturnType<typeof setTimeout>;
  const arm = (left: number): void => {
    const step = Math.min(left, LONGEST_TIMEOUT_MILLIS);
    timeout = setTimeout(() => (left > step ? arm(left - step) : run()), step);
  };
  arm(Math.max(0, millis));
  return () => clearTimeout(timeout);
}

/** The clock and the waiting room of the engine: all its timers end when it stops. */
export interface Time {
  /** Milliseconds since the epoch. */
  now(): number;
  /** How long a wait of `millis` takes on the clock: `timeFactor` applied. */
  scale(millis: number): number;
  /** When a wait of `millis` that starts now is over. */
  dueAfter(millis: number): number;
  /** Runs `run` at a time that `dueAfter` gave. */
  at(due: number, run: () => void): () => void;
  /** Cancels every timer; none starts any more. */
  stop(): void;
}

export interface TimeOptions {
  readonly now: () => number;
  readonly setTimer: SetTimer;
  readonly timeFactor: number;
}

export function createTime({ now, setTimer, timeFactor }: TimeOptions): Time {
  const timers = new Set<() => void>();
  let stopped = false;
  const scale = (millis: number): number => Math.max(0, millis) * timeFactor;
  return {
    now,
    scale,
    dueAfter: (millis) => now() + scale(millis),
    at(due, run) {
      if (stopped) return () => {};
      const cancelTimer = setTimer(
        () => {
          timers.delete(cancel);
          run();
        },
        Math.max(0, due - now()),
      );
      const cancel = (): void => {
        timers.delete(cancel);
        cancelTimer();
      };
      timers.add(cancel);
      return cancel;
    },
    stop() {
      stopped = true;
      for (const cancel of timers) cancel();
    },
  };
}
