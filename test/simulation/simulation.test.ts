import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { decodeChoices, encodeChoices } from "./choices.ts";
import type { Mutant } from "./mutants.ts";
import { replay, reproduction, simplest } from "./replay.ts";
import { LEVELS } from "./setup.ts";
import { simulate } from "./simulate.ts";
import type { Run, Simulation } from "./simulate.ts";

/** A few hundred runs in every test run; `npm run simulate` does as many as one likes. */

async function runs(from: number, count: number, options: Simulation = {}): Promise<readonly Run[]> {
  const all: Run[] = [];
  for (let seed = from; seed < from + count; seed++) all.push(await simulate({ ...options, seed }));
  return all;
}

function failures(all: readonly Run[]): readonly string[] {
  return all.flatMap((run) =>
    run.violation === undefined ? [] : [`${run.violation.invariant}: ${run.violation.detail}\n${reproduction(run)}`],
  );
}

test("the invariants hold in a few hundred random runs with faults", async () => {
  expect(failures(await runs(0, 250))).toEqual([]);
});

test.each(LEVELS)("the invariants hold in random runs at the level %s alone", async (level) => {
  expect(failures(await runs(1_000, 50, { level }))).toEqual([]);
});

interface Regression {
  readonly replay: string;
  readonly why: string;
  readonly level?: (typeof LEVELS)[number];
}
const kept = JSON.parse(await readFile(new URL("regressions.json", import.meta.url), "utf8")) as readonly Regression[];

test.each(kept.map(({ why, ...run }) => [why, run] as const))("a run that once failed holds: %s", async (_why, run) => {
  expect(failures([await replay(run.replay, { level: run.level })])).toEqual([]);
});

describe("a run", () => {
  test("of the same seed is the same to the last step", async () => {
    const [first, second] = [await runs(0, 20), await runs(0, 20)];
    expect(first.map(({ trace }) => trace)).toEqual(second.map(({ trace }) => trace));
    expect(new Set(first.map(({ trace }) => trace)).size, "other seeds are other runs").toBe(20);
  });

  test("of the same seed is the same in another process", async () => {
    const main = fileURLToPath(new URL("main.ts", import.meta.url));
    const args = ["--conditions=aftercommit-source", main, "--replay", "5"];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const run = await simulate({ seed: 5 });
    expect(stdout).toContain(`${run.steps} steps, trace ${run.trace}`);
  });

  test("is the same when it is repeated from the list of its choices", async () => {
    for (const run of await runs(40, 10)) {
      const again = await replay(encodeChoices(run.choices));
      expect([again.trace, again.steps]).toEqual([run.trace, run.steps]);
    }
  });

  test("needs one turn of the event loop between two steps, and no more", async () => {
    const [one, three] = [await runs(60, 25), await runs(60, 25, { turns: 3 })];
    expect(three.map(({ trace }) => trace)).toEqual(one.map(({ trace }) => trace));
  });

  test("goes by the steps that the models have", async () => {
    const passed = new Set<string>();
    const watch = (line: string): void => {
      const [step] = /[PSC]\d+_\w+/.exec(line) ?? [];
      if (step !== undefined) passed.add(step);
    };
    await runs(0, 120, { watch });
    const models = await Promise.all(
      ["barrier", "checked"].map((name) => readFile(new URL(`../model/${name}.pml`, import.meta.url), "utf8")),
    );
    const modelled = new Set(models.join("\n").match(/(?<=^)[PSC]\d+_\w+(?=:)/gm));
    // The models have no clean-up: they forget by themselves.
    expect([...passed].filter((step) => !modelled.has(step))).toEqual(["S7_cleanUp"]);
    // What no call is: steps within a process, the record that hints, and the choices of one step that the models name apart.
    const withoutCall = ["P1_id", "P2_hint", "P7_handlerReturns", "P12_done"];
    const ofOneStep = ["P8_drop", "P9_publishEarly", "P10_end", "S3_postpone"];
    const missing = [...modelled].filter((step) => !passed.has(step));
    expect(missing.sort()).toEqual([...withoutCall, ...ofOneStep].sort());
  });

  test("without any fault takes a message to its consumer", async () => {
    const run = await simulate({ choices: [] });
    expect(run.violation).toBeUndefined();
    expect(run.steps).toBeGreaterThan(20);
  });
});

/** A transport that says that everything was taken, whatever QStash has answered. */
const swallowing: Mutant = {
  name: "refusals swallowed",
  apply: (ports) => ({
    ...ports,
    transport: {
      ...ports.transport!,
      async publish(dispatches) {
        await ports.transport!.publish(dispatches);
        return dispatches.map(() => ({ status: "accepted", deduplicated: false }));
      },
    },
  }),
};

describe("a planted bug", () => {
  test("is found, and shrinks to the few choices that it needs", async () => {
    const failing = (await runs(0, 200, { mutant: swallowing })).filter(({ violation }) => violation !== undefined);
    const [found] = failing.sort((a, b) => a.choices.length - b.choices.length);
    expect(found?.violation?.invariant).toBe("what is committed arrives");
    const simple = await simplest(found!, { mutant: swallowing });
    expect(simple.violation?.invariant).toBe("what is committed arrives");
    const text = encodeChoices(simple.choices);
    expect(text.split(",").length, text).toBeLessThanOrEqual(12);
    expect(simple.steps).toBeLessThan(found!.steps);
    const again = await simulate({ choices: decodeChoices(text), mutant: swallowing });
    expect([again.trace, again.violation]).toEqual([simple.trace, simple.violation]);
    expect(reproduction(simple, { mutant: swallowing })).toBe(
      `npm run simulate -- --replay ${text} --mutant "refusals swallowed"`,
    );
  });
});
