import { listedChoices, seededChoices } from "./choices.ts";
import { checkEnd } from "./invariants/end.ts";
import type { Violation } from "./oracle.ts";
import { recover } from "./recovery.ts";
import { scheduler as newScheduler } from "./scheduler.ts";
import type { WorldOptions } from "./world.ts";
import { newWorld } from "./world.ts";
import { plan } from "./workload.ts";

/** What is simulated: by a seed, or by the choices of an earlier run. */
export interface Simulation extends WorldOptions {
  readonly seed?: number;
  readonly choices?: readonly number[];
  /** How many turns of the event loop come between two steps. @default 1 */
  readonly turns?: number;
  /** Told of all that happens, in words. */
  readonly watch?: (line: string) => void;
}

/** What a run came to. */
export interface Run {
  readonly violation: Violation | undefined;
  readonly steps: number;
  /** A hash over everything that happened, in its order, and over what was left in the end. */
  readonly trace: string;
  /** Every choice that was made. */
  readonly choices: readonly number[];
}

/**
 * Runs one simulation: first with faults, then without, until everything has settled. The invariants are checked at every
 * step as far as a step can show them, the others at the end.
 */
export async function simulate({ seed = 0, choices: list, turns = 1, watch, ...options }: Simulation): Promise<Run> {
  const choices = list === undefined ? seededChoices(seed) : listedChoices(list);
  const scheduler = newScheduler({ turns, watch });
  const world = newWorld(choices, scheduler, options);
  const { oracle } = world;
  let settled = false;
  plan(world, choices);
  scheduler.after(world.setup.troubleMillis, "recovery", () => recover(world, () => (settled = true)));
  const how = await scheduler.run(() => settled || oracle.violation !== undefined);
  if (how === "endless") oracle.violate("everything settles", `not after ${scheduler.steps} steps`);
  else if (!settled && oracle.violation === undefined) oracle.violate("everything settles", "nothing more happens");
  if (settled && oracle.violation === undefined) checkEnd(world);
  scheduler.note(JSON.stringify([...world.main.database.table()]));
  return { violation: oracle.violation, steps: scheduler.steps, trace: scheduler.trace, choices: choices.drawn };
}
