/**
 * Verifies the models of the protocol and prints what was seen: `node test/model/check.ts [--deep] [--json]`.
 *
 * `--deep` adds the searches that take minutes and gigabytes; `--json` closes with the table as one line of JSON. Ends
 * with 1 where a claim does not hold for the protocol, where a mutant is not caught, or where spin or gcc is missing.
 */
import { missingTools } from "./spin.ts";
import { startVerification } from "./verification.ts";
import type { Row } from "./verification.ts";

const missing = await missingTools();
if (missing.length > 0) {
  console.error(`Expected ${missing.join(" and ")} on the PATH. On Debian: apt-get install spin gcc`);
  process.exit(1);
}

const startedAt = performance.now();
const { sound, mutants, unreached } = startVerification({ deep: process.argv.includes("--deep") });
const rows: Row[] = [];
for (const { row } of [...sound, ...mutants]) {
  rows.push(await row);
  print(rows.at(-1)!);
}
const dead = await unreached;
for (const statement of dead) console.log(`never reached: ${statement}`);

const failed = rows.filter(({ asExpected }) => !asExpected).length + dead.length;
const states = rows.filter(({ mutant }) => !mutant).reduce((sum, row) => sum + row.states, 0);
const caught = rows.filter(({ mutant, asExpected }) => mutant && asExpected).length;
const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
console.log(
  `\n${count(states)} states of the protocol, ${caught} of ${mutants.length} mutants caught, ${seconds} s, ${failed} unexpected`,
);
if (process.argv.includes("--json")) {
  const summary = { states, mutants: mutants.length, caught, failed, seconds, unreached: dead, rows };
  console.log(JSON.stringify(summary));
}
process.exit(failed === 0 ? 0 : 1);

function print({ model, name, claim, violated, asExpected, mutant, states: seen, seconds: took }: Row): void {
  const found = violated === undefined ? "holds" : `violated${violated === claim ? "" : `: ${violated}`}`;
  const verdict = `${found}${asExpected ? "" : mutant ? "  <- NOT CAUGHT" : "  <- ERROR"}`;
  const columns = [model.padEnd(8), name.padEnd(27), claim.padEnd(35), count(seen).padStart(11)];
  console.log(`${columns.join(" ")} ${took.toFixed(1).padStart(6)} s  ${verdict}`);
}

function count(of: number): string {
  return of.toLocaleString("en");
}
