import type { Dialect } from "./dialect.ts";
import { symptomsOf } from "./failure.ts";

/** How long a transaction of ours is tried again. */
const WAIT_MILLIS = 1_000;
const PAUSE_MILLIS = 50;

/**
 * Tries a transaction of ours again, for a little while, where it certainly rolled back because others were in its way: a
 * deadlock, a serialization failure, a row that is locked in a database that refuses those at once.
 */
export async function patiently<T>(dialect: Dialect, act: () => Promise<T>): Promise<T> {
  const end = Date.now() + WAIT_MILLIS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const failure = dialect.failureOf(symptomsOf(error));
      const inTheWay = failure === "retryable" || (failure === "locked" && dialect.refusesLocked);
      if (!inTheWay || Date.now() + PAUSE_MILLIS > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLIS));
  }
}
