import { ApiError } from "./api-error.ts";
import type { DeliveryResponse } from "./event-log.ts";
import { bodyView, type Message, messageView } from "./message.ts";
import { type Sequenced, sequencedId } from "./pagination.ts";

/** A message that was given up, with the last response. */
export interface DeadLetter extends Sequenced {
  /** Like the ids of a Redis stream. */
  readonly dlqId: string;
  readonly message: Message;
  readonly response: DeliveryResponse;
}

export interface DeadLetters {
  /** Stores a dead letter and returns its id. */
  bury(message: Message, response: DeliveryResponse): string;
  /** @throws ApiError 404 */
  get(dlqId: string): DeadLetter;
  find(dlqId: string): DeadLetter | undefined;
  /** Oldest first. */
  list(): readonly DeadLetter[];
  /** Whether there was one. */
  remove(dlqId: string): boolean;
}

/** More dead letters than this push the oldest out: memory is bounded, and nothing else ever removes them. */
const MAX_DEAD_LETTERS = 10_000;

export function createDeadLetters(now: () => number): DeadLetters {
  const letters = new Map<string, DeadLetter>();
  let sequence = 0;
  return {
    bury(message, response) {
      const time = Math.floor(now());
      sequence += 1;
      const dlqId = sequencedId({ time, sequence });
      letters.set(dlqId, { dlqId, time, sequence, message, response });
      for (const oldest of letters.keys()) {
        if (letters.size <= MAX_DEAD_LETTERS) break;
        letters.delete(oldest);
      }
      return dlqId;
    },
    get(dlqId) {
      const letter = letters.get(dlqId);
      if (letter === undefined) throw new ApiError(404, `message "${dlqId}" not found in the dlq`);
      return letter;
    },
    find: (dlqId) => letters.get(dlqId),
    list: () => [...letters.values()],
    remove: (dlqId) => letters.delete(dlqId),
  };
}

/** A dead letter as the API shows it; the response fields are absent if there was no response. */
export function deadLetterView({ dlqId, message, response }: DeadLetter): Record<string, unknown> {
  const { body, bodyBase64 } = bodyView(response.body);
  return {
    ...messageView(message),
    dlqId,
    responseStatus: response.status || undefined,
    responseHeader: response.status === 0 ? undefined : response.header,
    responseBody: body,
    responseBodyBase64: bodyBase64,
  };
}
