import type { Aftercommit } from "../../src/middleware/aftercommit.ts";
import type { Disposition } from "../../src/core/receive.ts";
import type { Subscribers } from "../../src/middleware/subscriber.ts";
import type { QueueBatchLike, QueueMessageLike } from "./bindings.ts";
import { MAX_DELAY_SECONDS } from "./limits.ts";
import { decodeMessage } from "./message-text.ts";

/** How {@link queueHandler} treats what comes out of queues. */
export interface QueueHandlerOptions {
  /** The queues (by their own names) whose messages other queues gave up: what comes out of them is buried, not tried. @default none */
  readonly deadLetterQueues?: readonly string[];
  /** How many messages of a batch are worked on at once. @default DEFAULT_CONCURRENCY */
  readonly concurrency?: number;
  /** The wait before a message is tried again where its handler asked for none, in seconds, by the attempt that failed. @default defaultRetryDelay */
  readonly retryDelaySeconds?: (attempt: number) => number;
}

/** How many messages of a batch are worked on at once. */
export const DEFAULT_CONCURRENCY = 10;

/** Ten seconds, doubled with each attempt, up to an hour. */
export function defaultRetryDelay(attempt: number): number {
  return Math.min(3_600, 10 * 2 ** Math.min(attempt - 1, 20));
}

/** The `queue()` of a Worker. */
export type QueueHandler<Env> = (batch: QueueBatchLike, env: Env, context?: unknown) => Promise<void>;

/** The least wait for what only another release, or a log that answers again, can take: in seconds. */
const PATIENCE_SECONDS = 60;

/**
 * The `queue()` of a Worker: hands each message to its subscriber, and acknowledges or retries it by itself, so that none
 * of a batch suffers from another. What no retry can help, and what has used up its topic's retries, is buried like any
 * other dead letter before it is acknowledged. What is no message of this library is acknowledged, and told of as
 * `rejected`.
 *
 * Messages are trusted as far as whoever may write into the queue: a binding signs nothing. Their envelopes are checked as
 * strictly as any.
 *
 * @throws {ConfigurationError} where the environment cannot be configured; Cloudflare then retries the batch.
 */
export function queueHandler<Env>(
  ac: Pick<Aftercommit<Env, never>, "subscribers">,
  options: QueueHandlerOptions = {},
): QueueHandler<Env> {
  const { deadLetterQueues = [], concurrency = DEFAULT_CONCURRENCY, retryDelaySeconds = defaultRetryDelay } = options;
  return async function queue(batch, env) {
    const subscribers = ac.subscribers(env);
    const given = deadLetterQueues.includes(batch.queue);
    await inTurns(batch.messages, concurrency, async (message) => {
      const { disposition, patient } = await dispose(subscribers, batch.queue, message, given);
      if (disposition.status === "ack") return message.ack();
      const wait =
        disposition.afterMillis === undefined
          ? retryDelaySeconds(message.attempts)
          : Math.ceil(disposition.afterMillis / 1_000);
      message.retry({ delaySeconds: Math.min(MAX_DELAY_SECONDS, Math.max(patient ? PATIENCE_SECONDS : 0, wait)) });
    });
  };
}

async function dispose(
  subscribers: Subscribers,
  queue: string,
  { body, attempts }: QueueMessageLike,
  givenUp: boolean,
): Promise<{ readonly disposition: Disposition; readonly patient: boolean }> {
  const found = decodeMessage(body);
  if (found.status === "foreign") return { disposition: subscribers.ignore(queue, found.reason), patient: false };
  if (found.status === "undecodable") return { disposition: { status: "retry", reason: found.reason }, patient: true };
  const delivery = { ...found.delivery, attempt: attempts };
  return givenUp
    ? { disposition: await subscribers.bury(delivery, `the queue's retries are used up ("${queue}")`), patient: true }
    : { disposition: await subscribers.deliver(delivery), patient: false };
}

/** Runs `task` for each item, so many at a time. */
async function inTurns<T>(items: readonly T[], most: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await task(item);
  };
  await Promise.all(Array.from({ length: Math.min(Math.max(1, most), items.length) }, worker));
}
