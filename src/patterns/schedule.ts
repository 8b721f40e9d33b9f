import { ConfigurationError } from "../errors.ts";
import { DURATION_FORM, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import { isRetryDelay } from "../model/topic.ts";

/** The attempts of a notification after the first: as widely spread as what is to be waited for may last. */
export const DEFAULT_SCHEDULE: readonly Duration[] = ["1m", "5m", "30m", "2h", "6h"];

/**
 * The waits of a schedule, in milliseconds.
 *
 * @throws {ConfigurationError} where it is none, or too long for one expression of the transport.
 */
export function waitsOf(path: string, schedule: readonly Duration[]): readonly number[] {
  const waits = schedule.map((wait) => parseDuration(wait));
  const usable = waits.every((wait) => wait !== undefined && wait >= 1_000);
  if (usable && waits.length > 0 && isRetryDelay(retryDelayOf(waits as number[]))) return waits as number[];
  throw new ConfigurationError([
    {
      path: `${path}.schedule`,
      expected: `one to about seven waits, each of them ${DURATION_FORM}, of a second or more`,
      found: JSON.stringify(schedule).slice(0, 200),
      remedy: `Leave it out for ${JSON.stringify(DEFAULT_SCHEDULE)}.`,
    },
  ]);
}

/**
 * The waits as an expression of QStash over `retried`, which is 0 for the first retry: the first wait, and from each later
 * one's turn on its difference to the one before.
 */
export function retryDelayOf(waits: readonly number[]): string {
  let expression = String(waits[0]);
  for (let i = 1; i < waits.length; i++) {
    const difference = waits[i]! - waits[i - 1]!;
    if (difference === 0) continue;
    expression += `${difference < 0 ? "-" : "+"}${Math.abs(difference)}*min(1,max(0,retried-${i - 1}))`;
  }
  return expression;
}
