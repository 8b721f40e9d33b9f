import { availableParallelism } from "node:os";
import { verify } from "./spin.ts";
import type { Claim, Finding } from "./spin.ts";
import { claimOf, MUTANTS, pathOf, SOUND } from "./subjects.ts";
import type { ModelName, Mutant, Sound } from "./subjects.ts";

/** One line of the table. */
export interface Row {
  readonly model: ModelName;
  /** The part of the sound model, or the mutant. */
  readonly name: string;
  readonly mutant: boolean;
  /** What was verified; of a mutant, the claim that is to catch it. */
  readonly claim: string;
  /** The claim that did not hold. */
  readonly violated: string | undefined;
  /** Whether this is as it must be. */
  readonly asExpected: boolean;
  readonly states: number;
  readonly seconds: number;
}

/** Verifications under way: each row as soon as it is there. */
export interface Verification {
  readonly sound: readonly { readonly subject: Sound; readonly claim: Claim; readonly row: Promise<Row> }[];
  readonly mutants: readonly { readonly subject: Mutant; readonly row: Promise<Row> }[];
  /** The statements of the sound models that no run has reached: what they claim would be claimed of nothing. */
  readonly unreached: Promise<readonly string[]>;
}

/** Starts to verify everything, as many at a time as there are processors; `deep` adds what takes minutes. */
export function startVerification(options: { readonly deep?: boolean } = {}): Verification {
  const inTurn = queue(Math.max(1, availableParallelism()));
  const findings: { readonly model: ModelName; readonly finding: Promise<Finding> }[] = [];
  const chosen = SOUND.filter(({ deep }) => deep !== true || options.deep === true);

  const sound = chosen.flatMap((subject) => {
    const { model, part, defines, claims } = subject;
    const long = model === "barrier";
    const found = inTurn(() => verify({ path: pathOf(model), defines, claims, long }));
    return claims.map((claim, i) => {
      const finding = found.then((all) => all[i]!);
      if (claim === "safety") findings.push({ model, finding });
      const name = claim === "safety" ? "all assertions" : claim;
      const row = finding.then((one) => ({
        ...rowOf(model, part, name, one),
        mutant: false,
        asExpected: one.violated === undefined,
      }));
      return { subject, claim, row };
    });
  });
  const mutants = MUTANTS.map((subject) => {
    const { model, name, defines, caughtBy } = subject;
    const claims = [claimOf(subject)];
    const found = inTurn(() => verify({ path: pathOf(model), defines, claims, long: false }));
    const row = found.then(([one]) => ({
      ...rowOf(model, name, caughtBy, one!),
      mutant: true,
      asExpected: one!.violated === caughtBy,
    }));
    return { subject, row };
  });
  return { sound, mutants, unreached: neverReached(findings) };
}

function rowOf(model: ModelName, name: string, claim: string, found: Finding): Omit<Row, "mutant" | "asExpected"> {
  return { model, name, claim, violated: found.violated, states: found.states, seconds: found.seconds };
}

/** What is unreached in every run of its model: each part leaves out some of it. */
async function neverReached(
  findings: readonly { readonly model: ModelName; readonly finding: Promise<Finding> }[],
): Promise<readonly string[]> {
  const byModel = new Map<ModelName, (readonly string[])[]>();
  for (const { model, finding } of findings) {
    byModel.set(model, [...(byModel.get(model) ?? []), (await finding).unreached]);
  }
  return [...byModel.values()].flatMap(([first = [], ...others]) =>
    first.filter((statement) => others.every((unreached) => unreached.includes(statement))),
  );
}

/** Runs at most so many at a time, in the order in which they came. */
function queue(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running === limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
