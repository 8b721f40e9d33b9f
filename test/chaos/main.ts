/**
 * Kills the processes of a bank, its Redis and its PostgreSQL, and looks at its books afterwards. Needs `redis-server` and
 * PostgreSQL on this machine, and no network; everything that it starts ends with it.
 */
import { readOptions, USAGE, UsageError } from "./options.ts";
import type { ChaosOptions } from "./options.ts";
import { holds, resultTable } from "./report.ts";
import { runChaos } from "./run.ts";

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.exit(await main());

async function main(): Promise<number> {
  let options: ChaosOptions | "help";
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const { kills, level, seed, json } = options;
  const say = (text: string): void => void (json ? process.stderr : process.stdout).write(text);
  say(`aftercommit: ${kills} kills at level ${level}, seed ${seed}\n`);
  const result = await runChaos(options, say);
  if (result === undefined) return 2;
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : resultTable(result));
  return holds(result) ? 0 : 1;
}
