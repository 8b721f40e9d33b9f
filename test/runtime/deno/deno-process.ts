import { spawn } from "node:child_process";

const root = new URL("../../..", import.meta.url).pathname;

/** A program in Deno, in a process group of its own. */
export interface DenoProcess {
  /** Asks it to end, and resolves to its exit code when it has. */
  stop(): Promise<number | null>;
}

const START_TIMEOUT_MILLIS = 20_000;

/**
 * Starts a program of this repository in Deno, with nothing but `env` in its environment and without a way to fetch
 * modules. Resolves when it says that it serves on `url`; rejects, with what it printed, when it ends before or is silent.
 */
export async function startDeno(entry: string, url: string, env: Record<string, string>): Promise<DenoProcess> {
  const { PATH = "", HOME = "" } = process.env;
  const deno = spawn("node_modules/.bin/deno", ["run", "-A", "--no-remote", "--cached-only", entry], {
    cwd: root,
    env: { PATH, HOME, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const exited = new Promise<number | null>((resolve) => deno.once("exit", resolve));
  const stop = (): Promise<number | null> => {
    // The command may be a script around the program: the group has both.
    if (deno.exitCode === null && deno.signalCode === null) process.kill(-deno.pid!, "SIGTERM");
    return exited;
  };

  let printed = "";
  const timer = AbortSignal.timeout(START_TIMEOUT_MILLIS);
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (how: string): void => reject(new Error(`${entry} ${how} before it served:\n${printed}`));
      for (const stream of [deno.stdout, deno.stderr]) {
        stream.on("data", (chunk: Buffer) => {
          printed += String(chunk);
          if (printed.includes(url)) resolve();
        });
      }
      deno.once("error", reject);
      deno.once("exit", (code) => fail(`ended with code ${code}`));
      timer.addEventListener("abort", () => fail("was silent for too long"));
    });
  } catch (error) {
    if (deno.pid !== undefined) await stop();
    throw error;
  }
  return { stop };
}
