import { spawn } from "node:child_process";
import { onTestFinished } from "vitest";

const root = new URL("../../..", import.meta.url).pathname;

/** How each runtime runs a program of this repository, without a way to fetch modules. */
const RUNTIMES = {
  node: [process.execPath, "--conditions=aftercommit-source"],
  bun: ["node_modules/.bin/bun", "--no-install", "--conditions=aftercommit-source", "run"],
  deno: ["node_modules/.bin/deno", "run", "-A", "--no-remote", "--cached-only", "--unstable-cron"],
} as const;

export type Runtime = keyof typeof RUNTIMES;

/** A program in a process group of its own. */
export interface Program {
  /** All that it has printed so far. */
  printed(): string;
  /** Resolves when it has printed that; rejects, with all that it printed, when it ends before. */
  prints(text: string): Promise<void>;
  /** Sends it a signal. */
  signal(name: "SIGTERM" | "SIGINT" | "SIGKILL"): void;
  /** Resolves to its exit code; `null` where a signal ended it. */
  readonly exited: Promise<number | null>;
}

/** Starts a program with nothing but `env` in its environment; it ends with the test, if it has not ended before. */
export function startProgram(runtime: Runtime, entry: string, env: Readonly<Record<string, string>>): Program {
  const { PATH = "", HOME = "" } = process.env;
  const [command, ...args] = RUNTIMES[runtime];
  const child = spawn(command, [...args, entry], {
    cwd: root,
    env: { PATH, HOME, DENO_NO_UPDATE_CHECK: "1", DO_NOT_TRACK: "1", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let printed = "";
  let ended = false;
  let look: (() => void)[] = [];
  const looking = (): void => {
    for (const again of look) again();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      printed += String(chunk);
      looking();
    });
  }
  child.once("error", (error) => (printed += String(error)));
  // Not at its exit: what it printed last may still be on the way.
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      ended = true;
      looking();
      resolve(code);
    });
  });
  const signal = (name: NodeJS.Signals): void => {
    // The command may be a script around the program: the group has both.
    if (!ended && child.pid !== undefined) process.kill(-child.pid, name);
  };
  onTestFinished(async () => {
    signal("SIGKILL");
    await exited;
  });
  return {
    printed: () => printed,
    signal,
    exited,
    prints: (text) =>
      new Promise((resolve, reject) => {
        const again = (): void => {
          if (!printed.includes(text) && !ended) return;
          look = look.filter((other) => other !== again);
          if (printed.includes(text)) resolve();
          else reject(new Error(`${entry} ended before it printed "${text}":\n${printed}`));
        };
        look.push(again);
        again();
      }),
  };
}
