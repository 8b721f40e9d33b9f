import { formatGeneral } from "./number-format.ts";
import { CommandError, notAFloat, notAnInteger } from "./reply.ts";

/** Redis integers are signed 64-bit numbers. */
export const INTEGER_MAX: bigint = 2n ** 63n - 1n;
export const INTEGER_MIN: bigint = -(2n ** 63n);

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const HEXADECIMAL = /^[+-]?0x[\da-f]+$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;

/** Reads an integer argument exactly; throws "not an integer or out of range" for anything else. */
export function parseInteger64(text: string): bigint {
  if (!INTEGER.test(text)) throw notAnInteger();
  const value = BigInt(text);
  if (value > INTEGER_MAX || value < INTEGER_MIN) throw notAnInteger();
  return value;
}

/** Reads an integer argument as a number, for counts, indexes and times; beyond 2^53 it is rounded. */
export function parseInteger(text: string): number {
  return text.length < 16 && INTEGER.test(text) ? Number(text) : Number(parseInteger64(text));
}

/** Reads a count; throws "must be positive" for what is negative or no integer. */
export function parseCount(text: string): number {
  if (!INTEGER.test(text) || text.startsWith("-")) {
    throw new CommandError("ERR value is out of range, must be positive");
  }
  return Number(text);
}

/** Reads a float as `strtod` does, without spaces around it; `undefined` for anything else, NaN and overflow. */
export function readFloat(text: string): number | undefined {
  if (INFINITE.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (HEXADECIMAL.test(text)) return text.startsWith("-") ? -Number(text.slice(1)) : Number(text.replace("+", ""));
  if (!FLOAT.test(text)) return undefined;
  const value = Number(text);
  const lost = value === 0 && /[1-9]/.test(text.replace(/e.*/i, ""));
  return Number.isFinite(value) && !lost ? value : undefined;
}

/** Reads a sorted-set score. */
export function parseScore(text: string): number {
  const score = readFloat(text);
  if (score === undefined) throw notAFloat();
  return score;
}

/** Prints a double as Redis 7.0 does (`%.17g`): integers up to 10^17 in full, 0.1 as 0.10000000000000001. */
export function formatScore(score: number): string {
  return formatGeneral(score, 17);
}
