import type { Choices } from "./choices.ts";

/** The levels that a run may be limited to. */
export const LEVELS = ["barrier", "checked", "marked"] as const;
export type Level = (typeof LEVELS)[number];

/** How a run's world is made up; each run draws its own. */
export interface Setup {
  /** Whether the shop has a log; without one all is decided by its database. */
  readonly withLog: boolean;
  /** Where the shop's consumers remember messages. */
  readonly inbox: "log" | "main";
  /** Whether consumers use `message.batch`. */
  readonly batches: boolean;
  readonly watchdog: boolean;
  /** How many processes serve the shop's routes, sweep it, and serve the ledger's. */
  readonly shops: number;
  readonly sweepers: number;
  readonly ledgers: number;
  /** How often a sweeper is called. */
  readonly sweepEveryMillis: number;
  /** How long QStash recognises its earlier copy of a message. */
  readonly windowMillis: number;
  /** Whether decisions and messages are remembered for hours, and not for weeks. */
  readonly forgetful: boolean;
  /** How long things go wrong. */
  readonly troubleMillis: number;
}

const WINDOWS = [90 * 86_400_000, 600_000, 20_000, 0] as const;
const SWEEPS = [120_000, 80_000, 240_000] as const;
const TROUBLES = [420_000, 800_000, 2_000_000] as const;

/** Draws one. */
export function drawnSetup(choices: Choices, level: Level | undefined): Setup {
  const withoutLog = choices.weighted([85, 15]) === 1;
  const withLog = !withoutLog || (level !== undefined && level !== "barrier");
  const inMain = choices.weighted([65, 35]) === 1;
  return {
    withLog,
    inbox: inMain || !withLog ? "main" : "log",
    batches: choices.weighted([80, 20]) === 1,
    watchdog: choices.weighted([80, 20]) === 1,
    shops: 1 + choices.weighted([50, 35, 15]),
    sweepers: 1 + choices.weighted([70, 30]),
    ledgers: 1 + choices.weighted([80, 20]),
    sweepEveryMillis: SWEEPS[choices.weighted([60, 20, 20])]!,
    windowMillis: WINDOWS[choices.weighted([40, 25, 15, 20])]!,
    forgetful: choices.weighted([90, 10]) === 1,
    troubleMillis: TROUBLES[choices.weighted([80, 18, 2])]!,
  };
}
