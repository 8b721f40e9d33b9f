import { parseArgs } from "node:util";

/** How one run goes. */
export interface ChaosOptions {
  /** How many kills there are, at the least; those under way when the last one falls count as well. */
  readonly kills: number;
  readonly level: (typeof LEVELS)[number];
  /** Draws the same plan of kills as a run before. What the processes do in between is theirs. */
  readonly seed: number;
  /** The mean time between two planned kills; at points that the killed processes' successors meet there are more. */
  readonly everyMillis: number;
  /** Redis is only killed, and comes back with all that it held: what is lost then, something else has lost. */
  readonly keepRedis: boolean;
  /** No kill is made after so long. */
  readonly seconds: number;
  /** Prints the result as one JSON object; how far it is goes to the standard error. */
  readonly json: boolean;
}

export const LEVELS = ["barrier", "checked", "marked"] as const;
export const DEFAULT_KILLS = 50;
export const DEFAULT_SECONDS = 900;
export const DEFAULT_EVERY_MILLIS = 1_250;

export const USAGE = `usage: node --conditions=aftercommit-source test/chaos/main.ts [flags]

  --kills ${DEFAULT_KILLS}         how many kills there are, at the least
  --level barrier    barrier, checked or marked: how the transfers are decided
  --seed N           draws the same plan of kills as a run before
  --seconds ${DEFAULT_SECONDS}      no kill is made after so long
  --every ${DEFAULT_EVERY_MILLIS}       the mean time between two planned kills, in milliseconds
  --keep-redis       Redis is only killed, and comes back with all that it held
  --json             prints the result as one JSON object, and how far it is to the standard error
  --help             prints this
`;

/** A flag that cannot be used. */
export class UsageError extends Error {}

/**
 * Reads the command line; `"help"` where it is asked for.
 *
 * @throws {UsageError} that says which flag cannot be used.
 */
export function readOptions(args: readonly string[]): ChaosOptions | "help" {
  const values = parsed(args);
  if (values.help === true) return "help";
  const level = LEVELS.find((one) => one === (values.level ?? "barrier"));
  if (level === undefined) throw new UsageError(`--level: expected ${LEVELS.join(", ")}, found "${values.level}"`);
  return {
    kills: whole("kills", values.kills, DEFAULT_KILLS),
    level,
    seed: whole("seed", values.seed, Math.floor(Math.random() * 1_000_000)),
    seconds: whole("seconds", values.seconds, DEFAULT_SECONDS),
    everyMillis: whole("every", values.every, DEFAULT_EVERY_MILLIS),
    keepRedis: values["keep-redis"] === true,
    json: values.json === true,
  };
}

function parsed(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const texts = { kills: text, level: text, seed: text, seconds: text, every: text };
    const flags = { "keep-redis": flag, json: flag, help: flag };
    return parseArgs({ args: [...args], options: { ...texts, ...flags } }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function whole(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--${flag}: expected a whole number, found "${text}"`);
}
