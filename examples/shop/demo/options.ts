import { parseArgs } from "node:util";

/** How one run of the demo goes. */
export interface DemoOptions {
  readonly orders: number;
  readonly kills: number;
  readonly seed: number;
  /** Where the shop keeps its orders. */
  readonly database: (typeof DATABASES)[number];
  /** How its transactions are decided. */
  readonly level: (typeof LEVELS)[number];
  /** Prints the result as one JSON object, and nothing else. */
  readonly json: boolean;
}

export const DATABASES = ["sqlite", "pglite", "postgres"] as const;
export const LEVELS = ["barrier", "checked"] as const;
export const DEFAULT_ORDERS = 300;
export const DEFAULT_KILLS = 5;

export const USAGE = `usage: npm run demo -- [flags]

  --orders ${DEFAULT_ORDERS}       how many orders are sent, 20 to 2000
  --kills ${DEFAULT_KILLS}          how often the shop is killed meanwhile, at most one kill for 10 orders
  --seed N           draws the same orders and the same points to kill at as a run before
  --database sqlite  where the orders are: sqlite, pglite, or postgres (one of the demo's own, of what is installed)
  --level barrier    barrier: the orders' own COMMIT decides; checked: the answer decides, or a look at the orders (sqlite)
  --json             prints the result as one JSON object
  --help             prints this
`;

/** A flag that cannot be used. */
export class UsageError extends Error {}

/** Something that a flag needs is not on this machine. */
export class NotInstalledError extends Error {}

/**
 * Reads the command line; `"help"` where it is asked for.
 *
 * @throws {UsageError} that says which flag cannot be used.
 */
export function readOptions(args: readonly string[]): DemoOptions | "help" {
  const { values } = parsed(args);
  if (values.help === true) return "help";
  const orders = whole("orders", values.orders, DEFAULT_ORDERS, 20, 2_000);
  const most = Math.floor(orders / 10);
  const kills = whole("kills", values.kills, Math.min(DEFAULT_KILLS, most), 0, most);
  const seed = whole("seed", values.seed, Math.floor(Math.random() * 1_000_000), 0, 4_294_967_295);
  const database = oneOf("database", values.database, DATABASES);
  const level = oneOf("level", values.level, LEVELS);
  if (level === "checked" && database !== "sqlite")
    throw new UsageError(`--level checked: expected --database sqlite, found "${database}"`);
  return { orders, kills, seed, database, level, json: values.json === true };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        orders: { type: "string" },
        kills: { type: "string" },
        seed: { type: "string" },
        database: { type: "string" },
        level: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function whole(flag: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`--${flag}: expected a whole number from ${least} to ${most}, found "${text}"`);
}

/** One of a list, the first by default. */
function oneOf<Choice extends string>(flag: string, text: string | undefined, choices: readonly Choice[]): Choice {
  const found = text === undefined ? choices[0] : choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${flag}: expected ${choices.join(", ")}, found "${text}"`);
}
