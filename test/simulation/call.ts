import type { Port } from "./faults.ts";
import type { Process } from "./process.ts";
import { stepName } from "./steps.ts";
import type { World } from "./world.ts";

/** What a caller is told when there was no answer. */
export class PortError extends Error {
  override readonly name = "PortError";
}

/** One call of something outside of the process. */
export interface Call<T> {
  readonly port: Port;
  readonly name: string;
  /** Whether a consumer's run makes it, where a producer makes the same. */
  readonly consuming?: boolean;
  /** What it does when it arrives; it is never cut in two. */
  readonly act: () => T | Promise<T>;
  /** What happens instead where the other side refuses it. @default an error */
  readonly refuse?: () => T | Promise<T>;
}

/** The answer that a dead process gets. */
const NEVER = new Promise<never>(() => undefined);

/**
 * Lets a process call something outside of it, and ends the call in one of the ways that calls end: answered; failed
 * before it acts; acted, and the answer lost; the process dead before or after; refused by the other side; and slow.
 */
export function call<T>(world: World, process: Process, options: Call<T>): Promise<T> {
  const { port, name, consuming = false, act, refuse } = options;
  if (!process.alive) return NEVER;
  const { scheduler, faults } = world;
  const fate = faults.fate(port);
  const [there, back] = faults.latency();
  return new Promise((resolve, reject) => {
    const answer = (reply: () => void): void => {
      if (back === 0) return process.alive ? reply() : undefined;
      scheduler.after(back, "answer", reply, process);
    };
    const done = (value: T): void => {
      if (fate === "diesAfter") world.kill(process);
      else if (fate === "replyLost") answer(() => reject(new PortError(`the answer to ${name} was lost`)));
      else answer(() => resolve(value));
    };
    const failed = (error: unknown): void => answer(() => reject(error));
    scheduler.after(there, stepName(name, process.role, consuming), () => {
      if (!process.alive && !process.leavesRequests) return;
      if (fate !== "ok") scheduler.note(fate);
      if (fate === "diesBefore") return world.kill(process);
      if (fate === "fails") return failed(new PortError(`${name} did not arrive`));
      try {
        const acted = fate !== "refused" ? act() : refuse === undefined ? refused(name) : refuse();
        if (acted instanceof Promise) void settled(acted, done, failed);
        else done(acted);
      } catch (error) {
        failed(error);
      }
    });
  });
}

async function settled<T>(
  acted: Promise<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): Promise<void> {
  let value: T;
  try {
    value = await acted;
  } catch (error) {
    return failed(error);
  }
  done(value);
}

function refused(name: string): never {
  throw new Error(`${name} was refused`);
}
