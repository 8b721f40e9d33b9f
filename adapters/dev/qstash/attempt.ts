import { readAtMost } from "./bytes.ts";
import type { DeliveryResponse } from "./event-log.ts";
import { toHeaderMap } from "./header-map.ts";
import type { Job } from "./job.ts";
import { sign } from "./signature.ts";
import type { SetTimer } from "./time.ts";

/** The subset of `fetch` that deliveries need. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface AttemptOptions {
  readonly fetch: Fetch;
  readonly now: () => number;
  /** Ends an attempt that takes too long; not affected by `timeFactor`. */
  readonly setTimer: SetTimer;
  /** The key to sign with now. */
  readonly signingKey: () => string;
  /** Responses are cut off behind this. */
  readonly maxMessageBytes: number;
  /** Ends all attempts when the engine stops. */
  readonly stopping: AbortSignal;
}

/** The region that deliveries name; the service has two. */
const REGION = "EU-CENTRAL-1";
const encoder = new TextEncoder();

/**
 * Makes one signed request to the destination. No redirects are followed; whatever goes wrong on the way is a
 * response with status 0 that says why.
 */
export async function attempt(job: Job, options: AttemptOptions): Promise<DeliveryResponse> {
  const { message } = job;
  const timeout = new AbortController();
  const cancelTimer = options.setTimer(
    () => timeout.abort(new Error(`no response within ${message.timeoutMillis} ms`)),
    message.timeoutMillis,
  );
  try {
    const hasBody = message.method !== "GET";
    const body = hasBody ? message.body : new Uint8Array();
    const response = await options.fetch(message.url, {
      method: message.method,
      headers: await requestHeaders(job, body, options),
      redirect: "manual",
      signal: AbortSignal.any([timeout.signal, options.stopping]),
      ...(hasBody ? { body } : {}),
    });
    const { bytes } = await readAtMost(response.body, options.maxMessageBytes);
    return { status: response.status, header: toHeaderMap(response.headers), body: bytes };
  } catch (error) {
    const reason = describe(error);
    return { status: 0, header: {}, body: encoder.encode(reason), error: reason };
  } finally {
    cancelTimer();
  }
}

async function requestHeaders(
  { message, retried }: Job,
  body: Uint8Array<ArrayBuffer>,
  { now, signingKey }: AttemptOptions,
): Promise<Headers> {
  const headers = new Headers();
  for (const [name, values] of Object.entries(message.header)) {
    for (const value of values) headers.append(name, value);
  }
  headers.set("User-Agent", "Upstash-QStash");
  headers.set("Upstash-Message-Id", message.messageId);
  headers.set("Upstash-Retried", `${retried}`);
  headers.set("Upstash-Caller-Ip", message.callerIP);
  headers.set("Upstash-Region", REGION);
  if (message.topicName !== undefined) headers.set("Upstash-Topic-Name", message.topicName);
  if (message.scheduleId !== undefined) headers.set("Upstash-Schedule-Id", message.scheduleId);
  headers.set("Upstash-Signature", await sign({ key: signingKey(), url: message.url, body, now: now() }));
  return headers;
}

/** `fetch` hides what happened in the cause: `fetch failed: connect ECONNREFUSED 127.0.0.1:3000`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = "code" in cause ? ` (${String(cause.code)})` : "";
  return `${error.message}: ${cause.message}${code}`;
}
