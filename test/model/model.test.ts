import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { missingTools } from "./spin.ts";
import { MUTANTS } from "./subjects.ts";
import { startVerification } from "./verification.ts";

/** All searches wait for two processors, which other tests use as well. */
const TIMEOUT_MILLIS = 480_000;

const missing = await missingTools();
if (missing.length > 0) {
  const reason = `${missing.join(" and ")} is not on the PATH`;
  if (process.env["CI"] === "true") throw new Error(`${reason}, and CI must not skip what needs it`);
  console.log(`skipped: ${reason}`);
}
const { sound, mutants, unreached } =
  missing.length > 0 ? { sound: [], mutants: [], unreached: Promise.resolve([]) } : startVerification();

describe.skipIf(missing.length > 0)("the model of the protocol", { timeout: TIMEOUT_MILLIS }, () => {
  for (const { subject, claim, row } of sound) {
    test(`${subject.model}, ${subject.part}: ${claim === "safety" ? "no assertion fails" : `${claim} holds`}`, async () => {
      const { violated, states, seconds } = await row;
      console.log(`${subject.model}, ${subject.part}, ${claim}: ${states} states in ${seconds} s`);
      expect(violated).toBeUndefined();
    });
  }

  test("has no statement that is never reached", async () => {
    expect(await unreached).toEqual([]);
  });

  for (const { subject, row } of mutants) {
    test(`${subject.model}: ${subject.caughtBy} does not hold where ${subject.design}`, async () => {
      expect((await row).violated).toBe(subject.caughtBy);
    });
  }
});

test("the documentation tells of every mutant and what catches it", () => {
  const documented = readFileSync("docs/model.md", "utf8").replaceAll(/ +/g, " ");
  for (const { model, name, design, caughtBy } of MUTANTS) {
    expect(documented).toContain(`| ${model} | \`${name}\` | ${design} | \`${caughtBy}\` |`);
  }
});
