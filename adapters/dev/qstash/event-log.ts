import { toBase64 } from "./bytes.ts";
import type { HeaderMap } from "./header-map.ts";
import { flowControlView, labelsView, type Message } from "./message.ts";
import type { Sequenced } from "./pagination.ts";

/** The states through which a message goes, as the log names them. */
export type MessageState =
  | "CREATED"
  | "ACTIVE"
  | "RETRY"
  | "ERROR"
  | "DELIVERED"
  | "FAILED"
  | "CANCEL_REQUESTED"
  | "CANCELLED";

/** What an attempt got back. Status 0 means that there was no response; `error` then says why. */
export interface DeliveryResponse {
  readonly status: number;
  readonly header: HeaderMap;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly error?: string;
}

/** What the `onEvent` hook sees: one entry of the log, at the moment at which it is written. */
export interface QStashEvent {
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** The state that the message enters. */
  readonly state: MessageState;
  /** The message that it happens to. */
  readonly messageId: string;
  /** The destination of the message. */
  readonly url: string;
  /** The labels of the message. */
  readonly labels: readonly string[];
  /** The queue that the message goes through. */
  readonly queueName?: string | undefined;
  /** The schedule that made the message. */
  readonly scheduleId?: string | undefined;
  /** Only of an ERROR. */
  readonly error?: string | undefined;
  /** Only of an ERROR that is an answer. */
  readonly responseStatus?: number | undefined;
  /** Only of a message that waits: CREATED and RETRY. */
  readonly nextDeliveryTime?: number | undefined;
}

export interface LogEntry extends Sequenced {
  readonly state: MessageState;
  readonly message: Message;
  readonly response?: DeliveryResponse | undefined;
  readonly nextDeliveryTime?: number | undefined;
}

export interface EventLog {
  append(state: MessageState, message: Message, details?: Pick<LogEntry, "response" | "nextDeliveryTime">): void;
  /** Oldest first. */
  entries(): readonly LogEntry[];
}

export interface EventLogOptions {
  readonly now: () => number;
  /** More entries than this push the oldest out. */
  readonly maxEntries: number;
  readonly onEvent: (event: QStashEvent) => void;
}

/** The bodies that the log may keep alive; entries count the body of their message each. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** The log of all messages, in memory that is bounded by entries and by bytes. */
export function createEventLog({ now, maxEntries, onEvent }: EventLogOptions): EventLog {
  let kept: LogEntry[] = [];
  let first = 0;
  let bytes = 0;
  let sequence = 0;

  const evict = (): void => {
    while (kept.length - first > maxEntries || (bytes > MAX_BODY_BYTES && kept.length - first > 1)) {
      const oldest = kept[first];
      if (oldest !== undefined) bytes -= weight(oldest);
      first += 1;
    }
    if (first > maxEntries) {
      kept = kept.slice(first);
      first = 0;
    }
  };

  return {
    append(state, message, details = {}) {
      sequence += 1;
      const entry: LogEntry = { sequence, time: Math.floor(now()), state, message, ...details };
      kept.push(entry);
      bytes += weight(entry);
      evict();
      onEvent(toEvent(entry));
    },
    entries: () => kept.slice(first),
  };
}

function weight({ message, response }: LogEntry): number {
  return message.body.length + (response?.body.length ?? 0);
}

function toEvent({ time, state, message, response, nextDeliveryTime }: LogEntry): QStashEvent {
  return {
    time,
    state,
    messageId: message.messageId,
    url: message.url,
    labels: message.labels,
    queueName: message.queueName,
    scheduleId: message.scheduleId,
    error: response?.error,
    responseStatus: response?.status || undefined,
    nextDeliveryTime,
  };
}

/** A log entry as `GET /v2/events` answers it; absent fields are left out. */
export function logEntryView({ time, state, message, response, nextDeliveryTime }: LogEntry): Record<string, unknown> {
  return {
    time,
    state,
    messageId: message.messageId,
    nextDeliveryTime,
    error: response?.error,
    url: message.url,
    topicName: message.topicName,
    endpointName: message.endpointName,
    scheduleId: message.scheduleId,
    queueName: message.queueName,
    header: message.shown.header,
    body: message.shown.redactedBody ?? toBase64(message.body),
    ...responseView(response),
    timeout: message.timeoutMillis,
    method: message.method,
    callback: message.callback?.url,
    failureCallback: message.failureCallback?.url,
    maxRetries: message.maxRetries,
    retryDelayExpression: message.retryDelayExpression,
    ...flowControlView(message.flowControl),
    ...labelsView(message.labels),
  };
}

function responseView(response: DeliveryResponse | undefined): Record<string, unknown> {
  if (response === undefined) return {};
  return {
    responseStatus: response.status || undefined,
    responseHeaders: response.header,
    responseBody: toBase64(response.body),
  };
}
