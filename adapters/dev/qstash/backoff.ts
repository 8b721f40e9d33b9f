import { parseDuration } from "./duration.ts";
import { compileRetryDelay } from "./retry-expression.ts";

const DAY_MILLIS = 86_400_000;

/** The response headers by which a destination says when to come back, in the order in which they are asked. */
const RETRY_HEADERS = ["retry-after", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"];

/** QStash's own back-off: `min(86400, e^(2.5 n))` seconds before retry `n` (1-based): 12s, 2m28s, 30m8s, 6h7m6s, 24h. */
export function defaultBackoffMillis(retry: number): number {
  return Math.min(86_400, Math.floor(Math.exp(2.5 * retry))) * 1000;
}

export interface RetryQuestion {
  /** How many retries were made before this one: 0 for the first retry. */
  readonly retried: number;
  /** The message's `Upstash-Retry-Delay`, if it has one. */
  readonly expression?: string | undefined;
  /** Headers of the failed response. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly now: number;
}

/**
 * How long to wait before the next attempt: what the response asks for, else the message's own expression, else the
 * default back-off. A response that asks for more than a day, or for something unreadable, is not heard.
 */
export function retryDelayMillis({ retried, expression, headers, now }: RetryQuestion): number {
  const asked = askedDelayMillis(headers, now);
  if (asked !== undefined) return asked;
  if (expression !== undefined) {
    const millis = compileRetryDelay(expression)(retried);
    return Number.isNaN(millis) ? 0 : Math.min(DAY_MILLIS, Math.max(0, millis));
  }
  return defaultBackoffMillis(retried + 1);
}

function askedDelayMillis(headers: RetryQuestion["headers"], now: number): number | undefined {
  for (const wanted of RETRY_HEADERS) {
    const name = Object.keys(headers).find((key) => key.toLowerCase() === wanted);
    const value = name === undefined ? undefined : headers[name]?.[0];
    const millis = value === undefined ? undefined : parseRetryAfter(value, now);
    if (millis !== undefined && millis <= DAY_MILLIS) return Math.max(0, millis);
  }
  return undefined;
}

/** Milliseconds of `120`, of `Wed, 21 Oct 2026 07:28:00 GMT` seen from `now`, or of `6m5s`. */
function parseRetryAfter(value: string, now: number): number | undefined {
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const duration = parseDuration(text);
  if (duration !== undefined) return duration;
  if (!/^[A-Z][a-z]{2}, /.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : date - now;
}
