import { expect } from "vitest";
import type { QueueBatchLike, QueueLike, QueueSendLike } from "../../../adapters/cloudflare-queues/index.ts";
import { utf8Length } from "../../../src/model/bytes.ts";
import type { Clock } from "../../../src/ports/clock.ts";

/** A message that lies in a queue. */
export interface Queued {
  readonly body: unknown;
  readonly dueAt: number;
  readonly attempts: number;
}

/** How a queue is consumed. */
export interface QueueSettings {
  readonly name?: string;
  /** How often Cloudflare tries again. @default 100 */
  readonly maxRetries?: number;
  readonly deadLetterQueue?: MemoryQueue;
}

/** A queue in memory, with the limits that Cloudflare has. */
export interface MemoryQueue extends QueueLike {
  readonly name: string;
  readonly messages: readonly Queued[];
  /** The messages of each call that was made. */
  readonly calls: readonly (readonly QueueSendLike[])[];
  /** Puts in what nobody of ours would. */
  put(body: unknown): void;
  /** Lets the next calls reject; where it is applied, the messages are taken all the same. */
  fail(error: Error, options?: { readonly times?: number; readonly applied?: boolean }): void;
  /** Hands out what is due, in one batch; resolves to what became of each message. */
  deliver<Env>(
    handler: (batch: QueueBatchLike, env: Env) => Promise<void>,
    env?: Env,
  ): Promise<readonly ("acked" | { readonly retryAfter: number })[]>;
}

/** Makes a queue. */
export function memoryQueue(clock: Clock, settings: QueueSettings = {}): MemoryQueue {
  const { name = "orders-production", maxRetries = 100, deadLetterQueue } = settings;
  let messages: Queued[] = [];
  const calls: (readonly QueueSendLike[])[] = [];
  const faults: { readonly error: Error; readonly applied: boolean }[] = [];
  const check = (batch: readonly QueueSendLike[]): void => {
    const sizes = batch.map(({ body }) => utf8Length(body) + 100);
    if (batch.length > 100 || sizes.reduce((sum, size) => sum + size, 0) > 256_000 || Math.max(...sizes) > 128_000) {
      throw new Error("Queue sendBatch failed: Payload Too Large");
    }
    expect(batch.every(({ delaySeconds = 0 }) => Number.isInteger(delaySeconds) && delaySeconds <= 43_200)).toBe(true);
  };
  return {
    name,
    get messages() {
      return messages;
    },
    calls,
    put: (body) => messages.push({ body, dueAt: clock.now(), attempts: 0 }),
    fail(error, { times = 1, applied = false } = {}) {
      for (let i = 0; i < times; i++) faults.push({ error, applied });
    },
    async sendBatch(batch) {
      calls.push(batch);
      const fault = faults.shift();
      if (fault !== undefined && !fault.applied) throw fault.error;
      check(batch);
      for (const { body, delaySeconds = 0 } of batch)
        messages.push({ body, dueAt: clock.now() + delaySeconds * 1_000, attempts: 0 });
      if (fault !== undefined) throw fault.error;
    },
    async deliver(handler, env) {
      const due = messages.filter(({ dueAt }) => dueAt <= clock.now()).slice(0, 100);
      messages = messages.filter((message) => !due.includes(message));
      const fates: ("acked" | { readonly retryAfter: number } | undefined)[] = due.map(() => undefined);
      const batch = due.map((message, i) => ({
        id: `message-${i}`,
        body: message.body,
        attempts: message.attempts + 1,
        ack: () => void (fates[i] ??= "acked"),
        retry: ({ delaySeconds = 0 } = {}) => void (fates[i] ??= { retryAfter: delaySeconds }),
      }));
      await handler({ queue: name, messages: batch }, env as never);
      for (const [i, { body, attempts }] of due.entries()) {
        const fate = fates[i];
        if (fate === undefined) throw new Error("expected each message to be acknowledged or retried by itself");
        if (fate === "acked") continue;
        if (attempts < maxRetries)
          messages.push({ body, attempts: attempts + 1, dueAt: clock.now() + fate.retryAfter * 1_000 });
        else deadLetterQueue?.put(body);
      }
      return fates.map((fate) => fate!);
    },
  };
}
