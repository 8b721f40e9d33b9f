import type { Dialect } from "./dialect.ts";
import { symptomsOf } from "./failure.ts";

/** How long a row that is locked is asked for again, and how often. */
const WAIT_MILLIS = 1_000;
const PAUSE_MILLIS = 50;

/** Does again, for a little while, what a database refused at once because another transaction had a row locked. */
export async function patiently<T>(dialect: Dialect, act: () => Promise<T>): Promise<T> {
  const end = Date.now() + WAIT_MILLIS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const over = Date.now() + PAUSE_MILLIS > end;
      if (!dialect.refusesLocked || over || dialect.failureOf(symptomsOf(error)) !== "locked") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLIS));
  }
}
