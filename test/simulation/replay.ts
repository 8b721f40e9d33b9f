import { decodeChoices, encodeChoices } from "./choices.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";
import type { Run } from "./simulate.ts";
import type { WorldOptions } from "./world.ts";

/** Runs again what a failure printed: a seed, or a list of choices. */
export function replay(text: string, options: WorldOptions = {}): Promise<Run> {
  return simulate(
    /^\d+$/.test(text) ? { ...options, seed: Number(text) } : { ...options, choices: decodeChoices(text) },
  );
}

/** The simplest choices that lead to the same violation as these. */
export async function simplest(run: Run, options: WorldOptions = {}): Promise<Run> {
  const choices = await shrink(run.choices, async (candidate) => {
    const { violation } = await simulate({ ...options, choices: candidate });
    return violation?.invariant === run.violation?.invariant;
  });
  return simulate({ ...options, choices });
}

/** The one line that repeats a run. */
export function reproduction(run: Run | number, { level, mutant }: WorldOptions = {}): string {
  const what = typeof run === "number" ? String(run) : encodeChoices(run.choices);
  const more = `${level === undefined ? "" : ` --level ${level}`}${mutant === undefined ? "" : ` --mutant ${JSON.stringify(mutant.name)}`}`;
  return `npm run simulate -- --replay ${what}${more}`;
}
