import { MAX_ATTEMPTS } from "../../src/ports/transaction-log.ts";
import type { Mark } from "../../src/ports/transaction-log.ts";

/**
 * The score of an unsettled record: when it is due, and a tag of 11 bits that says where it stands.
 *
 * Positive: `due * 2048 + tag`, due in milliseconds since 1970 on Redis' clock; exact in a double until the year 2109.
 * Zero or negative: `-(wait * 2048 + tag)`, written by callers who know no clock of Redis: the first sweep that sees it
 * stamps its own time plus the wait. The tag is `attempts * 8 + mark`.
 *
 * A claim moves the score to the end of its lease, so that the score is the fencing token: it only rises.
 */
const TAGS = 2_048;
const MARKS: readonly Mark[] = ["half", "published", "doubted"];

/** The score of a record that is due `afterMillis` from whenever a sweep first sees it. */
export function waitingScore(mark: Mark, attempts: number, afterMillis: number): number {
  const tag = Math.min(Math.max(attempts, 0), MAX_ATTEMPTS) * 8 + MARKS.indexOf(mark);
  return 0 - (Math.max(0, Math.round(afterMillis)) * TAGS + tag);
}

/** What a score says. */
export interface ReadScore {
  readonly mark: Mark;
  readonly attempts: number;
  /** Milliseconds since 1970; absent while the score is not stamped. */
  readonly dueAt?: number;
}

/** Reads a score of either form. */
export function readScore(score: number): ReadScore {
  const size = Math.abs(score);
  const time = Math.floor(size / TAGS);
  const tag = size - time * TAGS;
  const mark = MARKS[tag % 8] ?? "half";
  const attempts = Math.floor(tag / 8);
  return score > 0 ? { mark, attempts, dueAt: time } : { mark, attempts };
}

/** The highest score that is due at a time. */
export function dueScore(millis: number): number {
  return Math.floor(millis) * TAGS + TAGS - 1;
}
