import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** How a process is started. */
export interface StartOptions {
  /** What is run. @default this Node */
  readonly program?: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Who it runs as. @default this program's user */
  readonly uid?: number;
  readonly gid?: number;
  /** What ends it at once. @default "SIGKILL" */
  readonly killSignal?: "SIGKILL" | "SIGQUIT";
  /** Told of each line of its output. */
  readonly onLine: (line: string) => void;
}

/** A process that this program started. */
export interface Child {
  /** Sends a signal; resolves when the process has ended and its last line has been read. */
  end(signal: "SIGKILL" | "SIGTERM" | "SIGINT"): Promise<void>;
}

/** The processes that this program started. */
export interface Processes {
  /** Starts a process, which writes all that it says to the log file and nothing to the terminal. */
  start(name: string, options: StartOptions): Child;
  /** Rejects when a process ends that nobody ended. */
  readonly crashed: Promise<never>;
  /** Kills whatever still runs; at once, so that it can be called when this process exits. Resolves when all have ended. */
  killAll(): Promise<void>;
}

/** Keeps the processes of one run, whose output goes to `logFile`. */
export function processes(logFile: string): Processes {
  const running = new Map<ChildProcess, () => Promise<void>>();
  let crash: (error: Error) => void;
  const crashed = new Promise<never>((_, reject) => (crash = reject));
  crashed.catch(() => undefined);

  return {
    crashed,

    start(name, { program, args, env, onLine, killSignal = "SIGKILL", ...where }) {
      const ours = program === undefined ? ["--conditions=aftercommit-source"] : [];
      const child = spawn(program ?? process.execPath, [...ours, ...args], {
        ...where,
        // Nothing of this terminal's own settings for QStash or Redis may reach the demo.
        env: { PATH: process.env.PATH ?? "", ...env },
        stdio: ["ignore", "pipe", "pipe"],
        // Ctrl-C is for this program, which ends them itself.
        detached: true,
      });
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          appendFileSync(logFile, `${name} ${child.pid}: ${line}\n`);
          onLine(line);
        });
      }
      let wanted = false;
      const ended = new Promise<void>((resolve) => {
        child.once("error", (error) => crash(error));
        child.once("close", (code, signal) => {
          running.delete(child);
          if (!wanted)
            crash(new Error(`Expected ${name} to run on, found it ended by ${signal ?? `exit code ${code}`}.`));
          resolve();
        });
      });
      const end = (signal: NodeJS.Signals): Promise<void> => {
        wanted = true;
        child.kill(signal);
        return ended;
      };
      running.set(child, () => end(killSignal));
      return { end };
    },

    async killAll() {
      await Promise.all([...running.values()].map((kill) => kill()));
    },
  };
}
