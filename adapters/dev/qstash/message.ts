import { toBase64, toText } from "./bytes.ts";
import type { HeaderMap } from "./header-map.ts";
import type { Shown } from "./redaction.ts";

/** Limits that messages of one flow-control key share. */
export interface FlowControlLimits {
  readonly parallelism?: number | undefined;
  /** Messages that start within one period. */
  readonly rate?: number | undefined;
  readonly periodSeconds: number;
}

/** What a publisher asked for, read from the `Upstash-*` headers of one request. */
export interface MessageConfig {
  readonly method: string;
  /** What the destination gets: the forwarded headers and the content type. */
  readonly header: HeaderMap;
  readonly maxRetries: number;
  readonly retryDelayExpression?: string | undefined;
  readonly timeoutMillis: number;
  readonly delayMillis: number;
  /** Seconds since the epoch; wins over the delay. */
  readonly notBeforeSeconds?: number | undefined;
  readonly deduplicationId?: string | undefined;
  readonly contentBasedDeduplication: boolean;
  readonly callback?: Callback | undefined;
  readonly failureCallback?: Callback | undefined;
  readonly labels: readonly string[];
  readonly flowControl?: ({ readonly key: string } & FlowControlLimits) | undefined;
  /** The fields to redact, as written. */
  readonly redactFields?: string | undefined;
}

/** A URL to be told about a message; told by an ordinary message, with the configuration in `headers`. */
export interface Callback {
  readonly url: string;
  readonly headers: Headers;
}

/** An accepted message to one destination. It never changes; what happens to it is in its `Job`. */
export interface Message extends MessageConfig {
  readonly messageId: string;
  readonly url: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly createdAt: number;
  /** Milliseconds since the epoch before which it is not delivered. */
  readonly notBefore: number;
  readonly callerIP: string;
  readonly topicName?: string | undefined;
  readonly endpointName?: string | undefined;
  readonly queueName?: string | undefined;
  readonly scheduleId?: string | undefined;
  /** The request's headers, from which a redrive starts again. */
  readonly sourceHeaders: Headers;
  /** Header and body as the API shows them, redacted where asked. */
  readonly shown: Shown;
}

/** A message as `GET /v2/messages/{id}` and the dead-letter queue answer it; absent fields are left out. */
export function messageView(message: Message): Record<string, unknown> {
  return {
    messageId: message.messageId,
    url: message.url,
    topicName: message.topicName,
    endpointName: message.endpointName,
    method: message.method,
    header: message.shown.header,
    ...bodyView(message.body, message.shown.redactedBody),
    maxRetries: message.maxRetries,
    notBefore: message.notBefore,
    createdAt: message.createdAt,
    callback: message.callback?.url,
    failureCallback: message.failureCallback?.url,
    queueName: message.queueName,
    scheduleId: message.scheduleId,
    callerIP: message.callerIP,
    ...labelsView(message.labels),
    ...flowControlView(message.flowControl),
    retryDelayExpression: message.retryDelayExpression,
  };
}

/** `body` for text, `bodyBase64` for bytes that are not UTF-8, neither for nothing. */
export function bodyView(bytes: Uint8Array, redacted?: string): { body?: string; bodyBase64?: string } {
  if (redacted !== undefined) return { body: redacted };
  if (bytes.length === 0) return {};
  const text = toText(bytes);
  return text === undefined ? { bodyBase64: toBase64(bytes) } : { body: text };
}

/** The list of labels, and the first one under its deprecated name. */
export function labelsView(labels: readonly string[]): Record<string, unknown> {
  return labels.length === 0 ? {} : { label: labels[0], labels };
}

export function flowControlView(flowControl: MessageConfig["flowControl"]): Record<string, unknown> {
  if (flowControl === undefined) return {};
  const { key, parallelism, rate, periodSeconds } = flowControl;
  return { flowControlKey: key, parallelism, rate, period: rate === undefined ? undefined : periodSeconds };
}
