import { attempt, type AttemptOptions } from "./attempt.ts";
import { retryDelayMillis } from "./backoff.ts";
import { callbackBody } from "./callbacks.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Verdict } from "./dispatcher.ts";
import type { DeliveryResponse, EventLog } from "./event-log.ts";
import type { Job } from "./job.ts";
import type { Callback, Message } from "./message.ts";
import type { Publisher } from "./publisher.ts";
import type { Turn } from "./queues.ts";
import type { Stats } from "./stats.ts";
import type { Time } from "./time.ts";

/** The status by which a destination says, together with `Upstash-NonRetryable-Error: true`, never to try again. */
const NON_RETRYABLE_STATUS = 489;

export interface DeliveryOptions extends AttemptOptions {
  readonly time: Time;
  readonly log: EventLog;
  readonly stats: Stats;
  readonly deadLetters: DeadLetters;
  readonly publisher: Publisher;
  /** Told of a message that will not be attempted again. */
  readonly onSettled: (message: Message, success: boolean) => void;
  readonly duplicateRate: number;
  readonly random: () => number;
}

/** Makes one attempt and does all that follows it: log, retry, dead letter, callbacks. */
export function createDelivery(options: DeliveryOptions): (job: Job) => Promise<Verdict> {
  const { time, log, stats, deadLetters, publisher, onSettled, stopping } = options;

  const tell = async (callback: Callback | undefined, body: Uint8Array<ArrayBuffer>, turn?: Turn): Promise<void> => {
    if (callback === undefined) return;
    const { url: destination, headers } = callback;
    publisher.accept(await publisher.prepare({ destination, headers, body }), turn);
  };

  const tryOnce = (job: Job): Promise<DeliveryResponse> => {
    stats.attempts += 1;
    return attempt(job, options);
  };

  const succeed = async (job: Job, response: DeliveryResponse): Promise<Verdict> => {
    const { message } = job;
    await tell(message.callback, callbackBody(message, job.retried, response), job.turn);
    stats.delivered += 1;
    log.append("DELIVERED", message);
    onSettled(message, true);
    if (options.random() < options.duplicateRate) {
      stats.duplicated += 1;
      await tryOnce(job);
    }
    return { kind: "settled" };
  };

  const retry = async (job: Job, response: DeliveryResponse): Promise<Verdict> => {
    const { message, retried } = job;
    await tell(message.callback, callbackBody(message, retried, response), job.turn);
    const expression = message.retryDelayExpression;
    const delay = retryDelayMillis({ retried, expression, headers: response.header, now: time.now() });
    const dueAt = time.dueAfter(delay);
    stats.retried += 1;
    log.append("RETRY", message, { nextDeliveryTime: Math.floor(dueAt) });
    return { kind: "retry", dueAt };
  };

  const fail = async (job: Job, response: DeliveryResponse): Promise<Verdict> => {
    const { message, retried } = job;
    const dlqId = deadLetters.bury(message, response);
    await tell(message.callback, callbackBody(message, retried, response), job.turn);
    await tell(message.failureCallback, callbackBody(message, retried, response, dlqId), job.turn);
    stats.failed += 1;
    log.append("FAILED", message);
    onSettled(message, false);
    return { kind: "settled" };
  };

  const giveUp = ({ message }: Job): Verdict => {
    stats.cancelled += 1;
    log.append("CANCELLED", message);
    onSettled(message, false);
    return { kind: "settled" };
  };

  return async (job) => {
    log.append("ACTIVE", job.message);
    const response = await tryOnce(job);
    if (stopping.aborted) return { kind: "settled" };
    if (response.status >= 200 && response.status < 300) return succeed(job, response);
    log.append("ERROR", job.message, { response });
    if (job.cancelRequested) return giveUp(job);
    const exhausted = job.retried >= job.message.maxRetries;
    return exhausted || isNonRetryable(response) ? fail(job, response) : retry(job, response);
  };
}

function isNonRetryable({ status, header }: DeliveryResponse): boolean {
  return status === NON_RETRYABLE_STATUS && header["Upstash-Nonretryable-Error"]?.[0]?.toLowerCase() === "true";
}
