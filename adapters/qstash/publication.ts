import { utf8Length } from "../../src/model/bytes.ts";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import { ENVELOPE_MEDIA_TYPE } from "../../src/model/envelope.ts";
import { DEFAULT_RETRIES } from "../../src/model/topic.ts";
import type { Dispatch, WakeCall } from "../../src/ports/transport.ts";
import { deliveryLabels, failureUrlOf } from "./labels.ts";

/** What QStash is asked to deliver, and how: an item of a batch, or a call of its own. */
export interface Publication {
  readonly destination: string;
  /** The queue that it waits in, where its order matters. */
  readonly queue?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The header in which the facts of a delivery travel; unsigned. */
export const DELIVERY_HEADER = "Aftercommit-Delivery";
/** Facts longer than this stay behind: the receiver can do without, and servers limit the size of headers. */
const MAX_DELIVERY_HEADER_BYTES = 6_144;

/** How often QStash tries to deliver a wake-up call again. */
const WAKE_RETRIES = 5;

/** A delivery as QStash is told of it. `now` is in milliseconds since 1970. */
export function publicationOf(dispatch: Dispatch, label: string, now: number): Publication {
  const { record, body, failureUrl } = dispatch;
  const {
    retries = DEFAULT_RETRIES,
    retryDelay,
    timeoutMillis,
    notBefore,
    headers: own = {},
    flow,
    queue,
  } = record.send;
  const headers: Record<string, string> = {
    "Content-Type": ENVELOPE_MEDIA_TYPE,
    "Upstash-Method": "POST",
    "Upstash-Deduplication-Id": deduplicationId(record),
    "Upstash-Label": deliveryLabels(label, record),
    "Upstash-Retries": String(retries),
  };
  if (retryDelay !== undefined) headers["Upstash-Retry-Delay"] = retryDelay;
  if (timeoutMillis !== undefined) headers["Upstash-Timeout"] = `${Math.max(1, Math.ceil(timeoutMillis / 1_000))}s`;
  if (notBefore !== undefined && notBefore > now) headers["Upstash-Not-Before"] = String(Math.ceil(notBefore / 1_000));
  if (flow !== undefined) {
    headers["Upstash-Flow-Control-Key"] = `${label}.${record.topic}`;
    headers["Upstash-Flow-Control-Value"] = flowValue(flow);
  }
  for (const [name, value] of Object.entries(own)) headers[`Upstash-Forward-${name}`] = value;
  if (utf8Length(record.meta) <= MAX_DELIVERY_HEADER_BYTES) headers[`Upstash-Forward-${DELIVERY_HEADER}`] = record.meta;
  if (failureUrl !== undefined) {
    headers["Upstash-Failure-Callback"] = failureUrlOf(failureUrl, record);
    // The callback would inherit the message's retries; one lost report should not need the sweep.
    if (retries < DEFAULT_RETRIES) headers["Upstash-Failure-Callback-Retries"] = String(DEFAULT_RETRIES);
  }
  // A queue is a line before one destination: another one that fails does not hold it up.
  const place = queue === undefined ? {} : { queue: `${label}.${record.topic}.${record.destinationHash}.${queue}` };
  return { destination: record.destination, ...place, headers, body };
}

function flowValue({ parallelism, rate, periodSeconds }: NonNullable<DeliveryRecord["send"]["flow"]>): string {
  const limits = [
    ...(parallelism === undefined ? [] : [`parallelism=${parallelism}`]),
    ...(rate === undefined ? [] : [`rate=${rate}`, `period=${periodSeconds}s`]),
  ];
  return limits.join(",");
}

/** A wake-up call as QStash is told of it. Its label is not that of the messages: its dead letters are none of theirs. */
export function wakeUpOf(call: WakeCall, label: string): Publication {
  return {
    destination: call.url,
    headers: {
      "Content-Type": "application/json",
      "Upstash-Method": "POST",
      "Upstash-Deduplication-Id": call.id,
      "Upstash-Label": `${label}-wake`,
      "Upstash-Not-Before": String(call.notBeforeSeconds),
      "Upstash-Retries": String(WAKE_RETRIES),
    },
    body: "{}",
  };
}

/**
 * Why a destination may not be handed to the client, or `undefined` where it may. The client joins it into a request path:
 * a dot segment would reach another endpoint with our token, a fragment would be cut off, and a query parameter in
 * QStash's own name would be taken for configuration.
 */
export function destinationProblem(destination: string): string | undefined {
  const [path = "", query = ""] = destination.split("?", 2);
  if (!/^https?:\/\/[^/]/i.test(destination) || !URL.canParse(destination)) return "expected an absolute http(s) URL";
  if (/[\s\\#]/.test(destination)) return "expected a URL without blanks, backslashes or a fragment";
  if (/\/(\.|%2e){1,2}(\/|$)/i.test(path)) return "expected a URL without dot segments";
  for (const name of new URLSearchParams(query).keys()) {
    if (/^(upstash-|qstash_token$)/i.test(name)) return `expected no query parameter named "${name}"`;
  }
  return undefined;
}
