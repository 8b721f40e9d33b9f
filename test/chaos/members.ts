import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChaosOptions } from "./options.ts";
import { faultText } from "./points.ts";
import type { Fault, Role } from "./points.ts";
import type { Program } from "./program.ts";

/** What all processes of the bank are told. */
export interface Surroundings {
  readonly level: ChaosOptions["level"];
  readonly postgresUrl: string;
  readonly redisUrl: string;
  readonly qstash: {
    readonly url: string;
    readonly token: string;
    readonly currentSigningKey: string;
    readonly nextSigningKey: string;
  };
  readonly consumerPorts: readonly [number, number];
}

/** What one process is told. */
export interface Setting extends Surroundings {
  readonly role: Role;
  /** Names this start of it. */
  readonly boot: string;
  /** Where it listens, if it does. */
  readonly port?: number;
}

/** What a process says. */
export interface Fact {
  readonly ready?: true;
  readonly died?: string;
  readonly registered?: { readonly id: string; readonly transactionId: string };
  readonly event?: { readonly type: string };
}

/** One kill. */
export interface Kill {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** A role, `redis` or `postgres`. */
  readonly target: string;
  /** At which side of which point, or how. */
  readonly how: string;
  /** The start of a process that it ended. */
  readonly boot?: string;
}

/** A process of the bank, which is started again whenever it has ended. */
export interface Member {
  readonly role: Role;
  /** Whether it is going to kill itself at a point, sooner or later. */
  isArmed(): boolean;
  /** Kills it now, unless it is down already; what is started instead kills itself at `next`, if there is one. */
  kill(next: Fault | undefined): void;
  /** Starts it again without any fault, if it has one ahead; resolves when it is up. */
  calm(): Promise<void>;
  /** Lets it finish what it does, and starts it no more. */
  stop(): Promise<void>;
  /** Kills it, and starts it no more; at once. */
  end(): void;
}

export const AT_RANDOM = "at random";
const LONGEST_DOWN_MILLIS = 600;
const OUTPUT_KEPT = 4_000;

/** Starts a member of a program; what it says, each kill of it, and each end that no one gave it, is told. */
export function startMember(
  program: Program,
  name: string,
  setting: Omit<Setting, "boot">,
  told: { onFact(fact: Fact): void; onKill(kill: Kill): void; onCrash(crash: string): void },
): Member {
  const { role } = setting;
  let boots = 0;
  let child: ChildProcess | undefined;
  let armed: Fault | undefined;
  let next: Fault | undefined;
  let wanted: "killed" | "stopped" | undefined;
  /** It has said that it is up, and nothing has been sent to end it. */
  let ready = false;
  let ended = Promise.resolve();

  const start = (): void => {
    const boot = `${name}/${++boots}`;
    armed = next;
    next = undefined;
    wanted = undefined;
    let at: string | undefined;
    let said = "";
    const started = spawn(process.execPath, [program.file], {
      env: {
        PATH: process.env["PATH"] ?? "",
        NODE_COMPILE_CACHE: program.cache,
        BANK: JSON.stringify({ ...setting, boot } satisfies Setting),
        BANK_FAULT: armed === undefined ? "" : faultText(armed),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = started;
    createInterface({ input: started.stdout }).on("line", (line) => {
      const fact = factOf(line);
      if (fact.ready === true && wanted === undefined) ready = true;
      at = fact.died ?? at;
      told.onFact(fact);
    });
    started.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-OUTPUT_KEPT)));
    ended = new Promise((resolve) => {
      started.once("close", (code, signal) => {
        const now = Date.now();
        resolve();
        child = undefined;
        ready = false;
        if (wanted === "stopped") return;
        if (signal !== "SIGKILL") told.onCrash(`${boot} ended by ${signal ?? `exit code ${code}`}: ${said}`);
        // One that is calmed was not cut off by the plan, but cut off it was.
        else told.onKill({ at: now, target: role, how: at ?? AT_RANDOM, boot });
        void sleep(Math.random() * LONGEST_DOWN_MILLIS).then(() => wanted === "stopped" || start());
      });
    });
  };
  start();

  return {
    role,
    isArmed: () => (child === undefined ? next : armed) !== undefined,
    kill(fault) {
      next = fault ?? next;
      if (child === undefined) return;
      wanted = "killed";
      ready = false;
      child.kill("SIGKILL");
    },
    async calm() {
      next = undefined;
      if (armed !== undefined && child !== undefined) child.kill("SIGKILL");
      const isCalm = (): boolean => ready && armed === undefined;
      while (!isCalm()) await sleep(100);
    },
    async stop() {
      wanted = "stopped";
      child?.kill("SIGTERM");
      await ended;
    },
    end() {
      wanted = "stopped";
      child?.kill("SIGKILL");
    },
  };
}

/** A kill may have cut a line off. */
function factOf(line: string): Fact {
  try {
    return JSON.parse(line) as Fact;
  } catch {
    return {};
  }
}
