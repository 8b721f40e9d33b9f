import { compareBytes } from "../bytes.ts";
import { parseInteger, readFloat } from "../numbers.ts";
import { CommandError } from "../reply.ts";
import type { ScoredMember, SortedSet } from "../sorted-set.ts";
import { toSpan } from "./lists.ts";

/** Finds the positions of a range within a sorted set: from the first up to, without, the second. */
export type SortedSetRange = (members: SortedSet) => readonly [from: number, to: number];

/** Reads a range of positions, `0` to `-1`; reversed, they count from the highest score. */
export function readRankRange(start: string, stop: string, reversed: boolean): SortedSetRange {
  const [first, last] = [parseInteger(start), parseInteger(stop)];
  return ({ size }) => {
    const [from, to] = toSpan(first, last, size);
    return reversed ? [size - to, size - from] : [from, to];
  };
}

/** Reads a range of scores, as in `(1 +inf`. */
export function readScoreRange(min: string, max: string): SortedSetRange {
  return between(readBound(min, readScoreBound), readBound(max, readScoreBound), (entry, bound) =>
    entry.score === bound ? 0 : entry.score < bound ? -1 : 1,
  );
}

/** Reads a range of members with one score, as in `[a (b` or `- +`. */
export function readLexRange(min: string, max: string): SortedSetRange {
  return between(readLexBound(min), readLexBound(max), (entry, bound) => compareBytes(entry.member, bound));
}

interface Bound<Value> {
  readonly value: Value;
  readonly exclusive: boolean;
}

/** The ends of the lexicographical order, `-` and `+`. */
const LEX_ENDS: Readonly<Record<string, -1 | 1>> = { "-": -1, "+": 1 };

function between<Value>(
  min: Bound<Value> | -1 | 1,
  max: Bound<Value> | -1 | 1,
  compare: (entry: ScoredMember, bound: Value) => number,
): SortedSetRange {
  const isBelow = (bound: Bound<Value> | -1 | 1, entry: ScoredMember, orAt: boolean): boolean => {
    if (typeof bound === "number") return bound > 0;
    const order = compare(entry, bound.value);
    return order < 0 || (order === 0 && bound.exclusive === orAt);
  };
  return (members) => {
    const from = members.countWhile((entry) => isBelow(min, entry, true));
    const to = members.countWhile((entry) => isBelow(max, entry, false));
    return [from, Math.max(from, to)];
  };
}

function readBound<Value>(text: string, read: (text: string) => Value): Bound<Value> {
  return text.startsWith("(")
    ? { value: read(text.slice(1)), exclusive: true }
    : { value: read(text), exclusive: false };
}

function readScoreBound(text: string): number {
  // Unlike a score, a bound may be empty, and is not refused for being too large to hold.
  const score = text === "" ? 0 : (readFloat(text) ?? Number(text.trimStart() || Number.NaN));
  if (Number.isNaN(score)) throw new CommandError("ERR min or max is not a float");
  return score;
}

function readLexBound(text: string): Bound<string> | -1 | 1 {
  const end = LEX_ENDS[text];
  if (end !== undefined) return end;
  if (!/^[[(]/.test(text)) throw new CommandError("ERR min or max not valid string range item");
  return { value: text.slice(1), exclusive: text.startsWith("(") };
}
