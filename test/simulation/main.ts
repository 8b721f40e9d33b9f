import { parseArgs } from "node:util";
import { MUTANTS } from "./mutants.ts";
import { startPool, tasksOf } from "./pool.ts";
import type { Pool } from "./pool.ts";
import { replay, reproduction, simplest } from "./replay.ts";
import { LEVELS } from "./setup.ts";
import type { Level } from "./setup.ts";
import type { Found } from "./worker.ts";

/**
 * Simulates: `--seeds 20000`, `--from 0`, `--level barrier`, `--json`, `--replay <seed or choices>` with `--shrink`,
 * `--mutants`.
 */

/** Each mutant must be caught within so many seeds. */
const MUTANT_SEEDS = 3_000;
/** So many failures are told of one by one. */
const TOLD = 10;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    from: { type: "string", default: "0" },
    level: { type: "string" },
    replay: { type: "string" },
    shrink: { type: "boolean", default: false },
    mutant: { type: "string" },
    mutants: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const level = levelOf(values.level);

/** What people read; with `--json` the one object alone goes to the standard output. */
const tell = values.json ? console.error : console.log;

if (values.replay === undefined) await simulateAll();
else await replayOne(values.replay);

async function simulateAll(): Promise<void> {
  const pool = startPool();
  const startedAt = performance.now();
  const found: Found[] = [];
  let [seeds, steps] = [0, 0];
  const tasks = tasksOf(Number(values.from), Number(values.seeds), { level, mutant: values.mutant });
  await pool.run(tasks, (result) => {
    seeds += result.seeds;
    steps += result.steps;
    for (const failure of result.found) if (found.push(failure) <= TOLD) tellOf(failure);
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  const mutants = values.mutants ? await catchMutants(pool) : { total: MUTANTS.length, caught: 0, equivalent: 0 };
  pool.close();
  const result = { seeds, steps, seconds: Number(seconds.toFixed(2)), violations: found.length, mutants };
  if (values.json) console.log(JSON.stringify(result));
  else {
    const each = `${Math.round(seeds / seconds)} seeds/s, ${(steps / seeds).toFixed(0)} steps a seed`;
    tell(`${seeds} seeds, ${steps} steps, ${seconds.toFixed(1)} s (${each}): ${found.length} violations`);
  }
  const missed = values.mutants && mutants.caught + mutants.equivalent < mutants.total;
  process.exitCode = found.length > 0 || missed ? 1 : 0;
}

/** Lets each wrong design run until a seed sees it. */
async function catchMutants(pool: Pool): Promise<{ total: number; caught: number; equivalent: number }> {
  let [caught, equivalent] = [0, 0];
  for (const mutant of MUTANTS) {
    let first: Found | undefined;
    const tasks = tasksOf(0, MUTANT_SEEDS, { level, mutant: mutant.name });
    await pool.run(
      tasks,
      ({ found }) => {
        for (const failure of found) if (first === undefined || failure.seed < first.seed) first = failure;
      },
      () => first !== undefined,
    );
    if (mutant.equivalent !== undefined) equivalent++;
    else if (first !== undefined) caught++;
    const how = first === undefined ? "not caught" : `seed ${first.seed}: ${first.invariant}`;
    tell(
      `mutant ${mutant.name}: ${mutant.equivalent === undefined ? how : `equivalent (${mutant.equivalent}); ${how}`}`,
    );
  }
  return { total: MUTANTS.length, caught, equivalent };
}

async function replayOne(text: string): Promise<void> {
  const mutant = MUTANTS.find(({ name }) => name === values.mutant);
  const run = await replay(text, { level, mutant });
  tell(`${run.steps} steps, trace ${run.trace}: ${said(run.violation)}`);
  if (run.violation === undefined) return;
  process.exitCode = 1;
  if (!values.shrink) return;
  const simple = await simplest(run, { level, mutant });
  tell(`${simple.steps} steps: ${said(simple.violation)}`);
  tell(reproduction(simple, { level, mutant }));
}

function tellOf({ seed, invariant, detail }: Found): void {
  const mutant = MUTANTS.find(({ name }) => name === values.mutant);
  tell(`seed ${seed}: ${said({ invariant, detail })}\n  ${reproduction(seed, { level, mutant })}`);
}

function said(violation: { readonly invariant: string; readonly detail: string } | undefined): string {
  return violation === undefined ? "no violation" : `violates "${violation.invariant}": ${violation.detail}`;
}

function levelOf(text: string | undefined): Level | undefined {
  if (text === undefined) return undefined;
  const found = LEVELS.find((known) => known === text);
  if (found === undefined) throw new TypeError(`Expected a level of ${LEVELS.join(", ")}, found "${text}".`);
  return found;
}
