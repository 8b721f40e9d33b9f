import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

/** A model as it is to be verified. */
export interface Subject {
  /** The file. */
  readonly path: string;
  /** What it is preprocessed with, as `NAME` or `NAME=value`. */
  readonly defines: readonly string[];
  /** What is verified of it, one after the other: all of one kind, assertions or liveness. */
  readonly claims: readonly Claim[];
  /** Whether the search is long enough to be worth a slower compilation. */
  readonly long: boolean;
}

/** All assertions; or an LTL formula of the model, which is checked under weak fairness. */
export type Claim = "safety" | `ltl ${string}`;

/** What a verification found. */
export interface Finding {
  /** The claim that does not hold: the assertion's or the formula's name. */
  readonly violated: string | undefined;
  /** How many states were seen. */
  readonly states: number;
  /** How long the search took. */
  readonly seconds: number;
  /** The statements that were not reached, by process and line. */
  readonly unreached: readonly string[];
}

const run = promisify(execFile);
const OUTPUT_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MILLIS = 1_200_000;
/** The longest run that is looked at; a search that meets a longer one is no proof. */
const MAX_DEPTH = 200_000;

/** What is not on this machine of what a verification needs. */
export async function missingTools(): Promise<readonly string[]> {
  const found = await Promise.all(
    (["spin -V", "gcc --version"] as const).map(async (command) => {
      const [program = "", option = ""] = command.split(" ");
      return run(program, [option]).then(
        () => [],
        () => [program],
      );
    }),
  );
  return found.flat();
}

/**
 * Lets SPIN look at all states of a model, or at as many as it takes to find that a claim does not hold. One finding a
 * claim.
 *
 * @throws where the search was not complete, or the model does not compile.
 */
export async function verify({ path, defines, claims, long }: Subject): Promise<readonly Finding[]> {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-model-"));
  const inDirectory = async (program: string, args: readonly string[]): Promise<string> => {
    const options = { cwd: directory, maxBuffer: OUTPUT_BYTES, timeout: TIMEOUT_MILLIS };
    try {
      return (await run(program, args, options)).stdout;
    } catch (error) {
      throw new Error(`${basename(path)} with ${defines.join(", ")}: ${describe(error)}`, { cause: error });
    }
  };
  try {
    await copyFile(path, join(directory, basename(path)));
    await inDirectory("spin", ["-a", ...defines.map((name) => `-D${name}`), basename(path)]);
    const kind = claims.includes("safety") ? ["-DSAFETY", "-DNOCLAIM"] : ["-DNFAIR=4"];
    await inDirectory("gcc", [long ? "-O2" : "-O0", "-w", ...kind, "-o", "pan", "pan.c"]);
    const findings: Finding[] = [];
    for (const claim of claims) {
      const wanted = claim === "safety" ? [] : ["-a", "-f", "-N", formulaOf(claim)];
      findings.push(
        findingOf(claim, await inDirectory("./pan", [`-m${MAX_DEPTH}`, long ? "-w24" : "-w20", ...wanted])),
      );
    }
    return findings;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function findingOf(claim: Claim, output: string): Finding {
  const errors = /errors: (\d+)$/m.exec(output)?.[1];
  const violated = violationIn(claim, output);
  const complete = errors === "0" && !/Search not completed|max search depth too small/.test(output);
  if (violated === undefined && !complete) throw new Error(`Expected a complete search, found:\n${output}`);
  return {
    violated,
    states: Number(/^\s*(\d+) states, stored/m.exec(output)?.[1]),
    seconds: Number(/elapsed time ([\d.]+)/.exec(output)?.[1] ?? 0),
    unreached: unreachedIn(output),
  };
}

function violationIn(claim: Claim, output: string): string | undefined {
  const [, kind] = /^pan:1: (.+?) \(at depth/m.exec(output) ?? [];
  if (kind === undefined) return undefined;
  return kind === "acceptance cycle" ? formulaOf(claim) : kind.replace(/^assertion violated /, "");
}

function formulaOf(claim: Claim): string {
  return claim.slice("ltl ".length);
}

function unreachedIn(output: string): readonly string[] {
  const found: string[] = [];
  let process: string | undefined;
  for (const line of output.split("\n")) {
    if (line.startsWith("unreached in ")) process = /^unreached in proctype (\w+)/.exec(line)?.[1];
    const [, at, statement] = /^\t(\S+), state \d+, "(.*)"$/.exec(line) ?? [];
    if (process !== undefined && statement !== undefined && statement !== "-end-")
      found.push(`${process}, ${at}: ${statement}`);
  }
  return found;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { stdout = "", stderr = "" } = error as { readonly stdout?: string; readonly stderr?: string };
  return [error.message, stdout, stderr].join("\n");
}
