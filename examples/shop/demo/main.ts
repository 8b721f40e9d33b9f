/**
 * `npm run demo`: real orders over HTTP, a shop that is killed in the middle of them, and the books that balance
 * afterwards. Needs no account and no network; everything runs on this machine and ends with this process.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions, USAGE, UsageError } from "./options.ts";
import type { DemoOptions } from "./options.ts";
import { processes } from "./processes.ts";
import { figureTable, identityList } from "./report.ts";
import { runDemo } from "./run.ts";

const LIMIT_MILLIS = 90_000;

class Interrupted extends Error {}

process.exit(await main());

async function main(): Promise<number> {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options !== "help") return await demo(options);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "aftercommit-demo-"));
  const started = processes(join(folder, "processes.log"));
  process.once("exit", () => started.killAll());
  const out = options.json ? { write: () => true } : process.stdout;
  try {
    const result = await Promise.race([
      runDemo(options, started, join(folder, "shop.sqlite"), out),
      started.crashed,
      interrupted(),
      tooLate(),
    ]);
    if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    out.write(`\nWhat happened\n${figureTable(result.figures)}`);
    out.write(
      `\nWhat must be true, by the shop's database, QStash's log and the dead letters\n${identityList(result.identities)}`,
    );
    out.write(result.holds ? "\nEverything holds.\n" : `\nNot everything holds. The processes' own words: ${folder}\n`);
    if (result.holds) rmSync(folder, { recursive: true, force: true });
    return result.holds ? 0 : 1;
  } catch (error) {
    process.stderr.write(
      `\n${error instanceof Error ? error.message : String(error)}\nThe processes' own words: ${folder}\n`,
    );
    return error instanceof Interrupted ? 130 : 1;
  } finally {
    started.killAll();
  }
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => reject(new Interrupted(`Ended by ${signal}.`)));
  });
}

function tooLate(): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`Expected everything to be settled within ${LIMIT_MILLIS / 1_000} s, found it was not.`)),
      LIMIT_MILLIS,
    );
    timer.unref();
  });
}
