import { MUTANTS } from "./mutants.ts";
import type { Violation } from "./oracle.ts";
import type { Level } from "./setup.ts";
import { simulate } from "./simulate.ts";

/** Seeds for a worker to run. */
export interface Task {
  readonly from: number;
  readonly count: number;
  readonly level?: Level | undefined;
  /** The name of a mutant; then the first violation is enough. */
  readonly mutant?: string | undefined;
}

/** What they came to. */
export interface TaskResult {
  readonly seeds: number;
  readonly steps: number;
  readonly found: readonly Found[];
}

/** A seed that violates an invariant. */
export interface Found extends Violation {
  readonly seed: number;
}

// Nobody reads the stacks of simulated errors, and each costs time.
Error.stackTraceLimit = 0;

process.on("message", (task: Task) => void answer(task));

async function answer(task: Task): Promise<void> {
  const result = await runTask(task);
  process.send!(result);
}

/** Runs seeds one after the other. */
export async function runTask({ from, count, level, mutant: name }: Task): Promise<TaskResult> {
  const mutant = MUTANTS.find((candidate) => candidate.name === name);
  const found: Found[] = [];
  let steps = 0;
  let seeds = 0;
  for (let seed = from; seed < from + count; seed++) {
    const run = await simulate({ seed, level, mutant });
    seeds++;
    steps += run.steps;
    if (run.violation === undefined) continue;
    found.push({ seed, ...run.violation });
    if (name !== undefined) break;
  }
  return { seeds, steps, found };
}
