import type { QStashClientLike, QStashRequest } from "../../../adapters/qstash/index.ts";
import { deliveryRecord } from "../../../src/model/delivery.ts";
import type { DeliveryFacts } from "../../../src/model/delivery.ts";
import type { Dispatch } from "../../../src/ports/transport.ts";

/** A message as a batch or a call of its own carried it. */
export interface SentMessage {
  readonly destination: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ScriptedClient extends QStashClientLike {
  readonly requests: QStashRequest[];
  /** The paths that were called, in order. */
  readonly paths: () => string[];
  /** How many calls were under way at once at most. */
  readonly mostAtOnce: () => number;
}

/** A client that answers by a script; what the script throws is what the call rejects with. */
export function scriptedClient(answer: (request: QStashRequest, index: number) => unknown): ScriptedClient {
  const requests: QStashRequest[] = [];
  let running = 0;
  let most = 0;
  return {
    requests,
    paths: () => requests.map(({ path }) => path.join("/")),
    mostAtOnce: () => most,
    http: {
      async request(request) {
        requests.push(request);
        running++;
        most = Math.max(most, running);
        try {
          await Promise.resolve();
          return answer(request, requests.length - 1);
        } finally {
          running--;
        }
      },
    },
  };
}

/** Takes everything, as QStash does. */
export function takeAll(request: QStashRequest): unknown {
  return request.path[1] === "batch"
    ? batchOf(request).map((_, i) => ({ messageId: `msg_${i}` }))
    : { messageId: "msg_1" };
}

/** The messages of a batch. */
export function batchOf(request: QStashRequest | undefined): readonly SentMessage[] {
  return JSON.parse(request?.body ?? "[]") as readonly SentMessage[];
}

/** The client's error for a status, with what QStash said. */
export function statusError(status: number, said = "no", fields: object = {}): Error {
  return Object.assign(new Error(JSON.stringify({ error: said })), { status, ...fields });
}

/** A delivery to publish. */
export function dispatchTo(destination: string, facts: Partial<DeliveryFacts> = {}, body = '{"id":"m"}'): Dispatch {
  const index = facts.index ?? 0;
  const transactionId = "0192c0de-0000-7000-8000-000000000001";
  const record = deliveryRecord(
    {
      transactionId,
      index,
      destination,
      destinationHash: "0123456789abcdef",
      topic: "order.paid",
      messageId: `${transactionId}_${index}`,
      on: "commit",
      deadlineMillis: 60_000,
      send: {},
      ...facts,
    },
    body,
  );
  return { record, body };
}
