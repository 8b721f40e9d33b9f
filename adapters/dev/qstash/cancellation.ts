import type { Dispatcher } from "./dispatcher.ts";
import type { EventLog } from "./event-log.ts";
import type { Message } from "./message.ts";
import type { Stats } from "./stats.ts";

export interface CancellationOptions {
  readonly dispatcher: Dispatcher;
  readonly log: EventLog;
  readonly stats: Stats;
  readonly onSettled: (message: Message, success: boolean) => void;
}

/**
 * Cancels one pending message; the answer is whether there was one to cancel. A message that waits is gone at once;
 * one in flight may still be delivered, and is not attempted again.
 */
export type CancelMessage = (messageId: string) => boolean;

export function createCancellation({ dispatcher, log, stats, onSettled }: CancellationOptions): CancelMessage {
  return (messageId) => {
    const job = dispatcher.find(messageId);
    if (job === undefined || job.cancelRequested) return false;
    log.append("CANCEL_REQUESTED", job.message);
    if (dispatcher.cancel(messageId) === "cancelled") {
      stats.cancelled += 1;
      log.append("CANCELLED", job.message);
      onSettled(job.message, false);
    }
    return true;
  };
}
