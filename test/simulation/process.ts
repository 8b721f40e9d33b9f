import type { Clock } from "aftercommit";
import type { Scheduler } from "./scheduler.ts";
import type { Role } from "./steps.ts";

/** One run of a program: from its start to its death. A restart is another process. */
export interface Process {
  /** Tells it from all others. */
  readonly number: number;
  readonly role: Role;
  alive: boolean;
  /** Whether what it had sent when it died arrives all the same. */
  leavesRequests: boolean;
  /** How far its clock is ahead of the world's. */
  skewMillis: number;
  /** Until when it stands still: a long collection of garbage, a machine that sleeps. Its timers and answers wait for it. */
  pausedUntil: number;
  /** What happens at its death: its connections break. */
  readonly onDeath: Set<() => void>;
}

/** A process that has just been started. */
export function newProcess(number: number, role: Role, skewMillis: number): Process {
  return { number, role, pausedUntil: 0, alive: true, leavesRequests: false, skewMillis, onDeath: new Set() };
}

/** Ends a process: nothing that it waits for will ever come. */
export function kill(process: Process, leavesRequests: boolean): void {
  if (!process.alive) return;
  process.alive = false;
  process.leavesRequests = leavesRequests;
  for (const act of process.onDeath) act();
  process.onDeath.clear();
}

/** The clock of a process or a store: ahead of the world's by its skew, while its timers run as the world's do. */
export function skewedClock(scheduler: Scheduler, owner: { readonly skewMillis: number }, process?: Process): Clock {
  return {
    now: () => scheduler.now + owner.skewMillis,
    sleep: (millis, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const waking = scheduler.after(millis, "wakes", resolve, process);
        signal?.addEventListener(
          "abort",
          () => {
            waking.off = true;
            resolve();
          },
          { once: true },
        );
      }),
  };
}
