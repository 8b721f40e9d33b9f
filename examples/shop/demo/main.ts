/**
 * `npm run demo`: real orders over HTTP, a shop that is killed in the middle of them, and the books that balance
 * afterwards. Needs no account and no network; everything runs on this machine and ends with this process.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NotInstalledError, readOptions, USAGE, UsageError } from "./options.ts";
import type { DemoOptions } from "./options.ts";
import { processes } from "./processes.ts";
import { figureTable, identityList } from "./report.ts";
import { runDemo } from "./run.ts";
import type { Workplace } from "./run.ts";

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
  process.once("exit", () => void started.killAll());
  const out = options.json ? { write: () => true } : process.stdout;
  let waitingFor = "";
  const workplace: Workplace = {
    processes: started,
    folder,
    out,
    waitsFor: (what) => (waitingFor = what),
  };
  try {
    const result = await Promise.race([
      runDemo(options, workplace),
      started.crashed,
      interrupted(),
      tooLate(() => waitingFor),
    ]);
    if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    out.write(`\nWhat happened\n${figureTable(result.figures)}`);
    out.write("\nWhat must be true, by the shop's database, QStash's event log and the list of dead letters\n");
    out.write(identityList(result.identities));
    if (result.holds) {
      out.write("\nEverything holds.\n");
      await started.killAll();
      remove(folder);
      return 0;
    }
    process.stderr.write(`\nNot everything holds. Output of the processes, and the database: ${folder}\n`);
    return 1;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`\n${message}\n`);
    if (error instanceof Interrupted || error instanceof NotInstalledError) {
      await started.killAll();
      remove(folder);
      return error instanceof Interrupted ? 130 : 2;
    }
    process.stderr.write(`Output of the processes, and the database: ${folder}\n`);
    return 1;
  } finally {
    await started.killAll();
  }
}

/** Something that was just being written may come between. */
function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => reject(new Interrupted(`Ended by ${signal}.`)));
  });
}

function tooLate(waitingFor: () => string): Promise<never> {
  return new Promise((_, reject) => {
    const seconds = LIMIT_MILLIS / 1_000;
    const expire = () =>
      reject(new Error(`Expected an end within ${seconds} s, found it waiting for ${waitingFor()}.`));
    setTimeout(expire, LIMIT_MILLIS).unref();
  });
}
