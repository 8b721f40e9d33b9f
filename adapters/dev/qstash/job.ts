import type { Message } from "./message.ts";
import type { Turn } from "./queues.ts";

/**
 * Where a pending message is:
 * - `lined`: in a queue, its turn has not come;
 * - `waiting`: for its time, the first or that of a retry;
 * - `ready`: for one of the engine's delivery slots;
 * - `held`: back by a paused queue or by flow control;
 * - `inFlight`: being delivered.
 */
export type JobPhase = "lined" | "waiting" | "ready" | "held" | "inFlight";

/** A message that is not settled yet, and how far it came. */
export interface Job {
  readonly message: Message;
  phase: JobPhase;
  /** Retries made so far: the `Upstash-Retried` of the next attempt. */
  retried: number;
  /** Milliseconds since the epoch before which it does not go out. */
  dueAt: number;
  /** Asked for while it was in flight: it ends with this attempt, whatever comes of it. */
  cancelRequested: boolean;
  /** Its place at the head of a queue, once it has one. */
  turn?: Turn;
  /** Undoes what its phase set up, such as a timer. */
  leave?: () => void;
}
