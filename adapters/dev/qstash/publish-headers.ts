import { ApiError } from "./api-error.ts";
import { type AllowDestination, checkDestination } from "./destination.ts";
import { parseDuration } from "./duration.ts";
import { type HeaderMap, isConnectionHeader, toHeaderMap } from "./header-map.ts";
import type { Callback, MessageConfig } from "./message.ts";
import { compileRetryDelay } from "./retry-expression.ts";

/** Retries of a message that does not say: four deliveries at most. */
export const DEFAULT_RETRIES = 3;
/** How long a delivery may take if the message does not shorten it: the free plan's limit. */
export const DEFAULT_TIMEOUT_MILLIS: number = 15 * 60_000;
/** The longest delay that is accepted: the free plan's limit. */
export const MAX_DELAY_SECONDS: number = 7 * 86_400;

const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);
const CALLBACK = "upstash-callback";
const FAILURE_CALLBACK = "upstash-failure-callback";
const MAX_PERIOD_SECONDS = 7 * 86_400;
/** Names that ride on every request and would be forwarded by `Upstash-Header-Forward` against anyone's intention. */
const NOT_FORWARDED = new Set(["authorization", "content-type"]);

export interface ConfigRules {
  /** More retries than this are refused. */
  readonly retriesLimit: number;
  readonly allowDestinations: AllowDestination;
  readonly now: () => number;
}

/**
 * Reads everything that a publisher can ask for in headers.
 *
 * @throws ApiError 400 for a value that cannot be read, 412 for one above the plan's quota
 */
export function parseConfig(headers: Headers, rules: ConfigRules): MessageConfig {
  const value = (name: string): string | undefined => headers.get(`upstash-${name}`)?.trim() || undefined;
  const maxRetries = readCount(value("retries"), "Upstash-Retries") ?? DEFAULT_RETRIES;
  if (maxRetries > rules.retriesLimit) throw new ApiError(412, "quota maxRetries exceeded");
  const deduplicationId = value("deduplication-id");
  if (deduplicationId?.includes(":")) throw new ApiError(400, "DeduplicationId cannot contain ':'");
  return {
    method: readMethod(value("method")),
    header: forwardedHeaders(headers),
    maxRetries,
    retryDelayExpression: readExpression(value("retry-delay")),
    timeoutMillis: readTimeout(value("timeout")),
    ...readDelay(value("delay"), value("not-before"), rules.now()),
    deduplicationId,
    contentBasedDeduplication: value("content-based-deduplication")?.toLowerCase() === "true",
    callback: readCallback(headers, CALLBACK, maxRetries, rules),
    failureCallback: readCallback(headers, FAILURE_CALLBACK, maxRetries, rules),
    labels: (value("label") ?? "").split(",").flatMap((label) => label.trim() || []),
    flowControl: readFlowControl(value("flow-control-key"), value("flow-control-value")),
    redactFields: value("redact-fields"),
  };
}

function readMethod(text: string | undefined): string {
  const method = text?.toUpperCase() ?? "POST";
  if (!METHODS.has(method)) throw new ApiError(400, `invalid method "${method}"`);
  return method;
}

function readCount(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new ApiError(400, `invalid ${name}: expected a whole number, found "${text}"`);
  return Number(text);
}

function readDuration(text: string, name: string): number {
  const millis = parseDuration(text);
  if (millis === undefined) {
    throw new ApiError(400, `invalid ${name}: expected a duration such as 50s or 1d10h30m, found "${text}"`);
  }
  return millis;
}

function readTimeout(text: string | undefined): number {
  if (text === undefined) return DEFAULT_TIMEOUT_MILLIS;
  return Math.min(readDuration(text, "Upstash-Timeout"), DEFAULT_TIMEOUT_MILLIS);
}

function readDelay(
  delay: string | undefined,
  notBefore: string | undefined,
  now: number,
): { delayMillis: number; notBeforeSeconds: number | undefined } {
  const delayMillis = delay === undefined ? 0 : readDuration(delay, "Upstash-Delay");
  const notBeforeSeconds = readCount(notBefore?.replace(/^(\d+)\.\d+$/, "$1"), "Upstash-Not-Before");
  const waitMillis = notBeforeSeconds === undefined ? delayMillis : notBeforeSeconds * 1000 - now;
  if (waitMillis > MAX_DELAY_SECONDS * 1000) {
    throw new ApiError(412, `quota maxDelay exceeded, current limit: ${MAX_DELAY_SECONDS}`);
  }
  return { delayMillis, notBeforeSeconds };
}

function readExpression(expression: string | undefined): string | undefined {
  if (expression === undefined) return undefined;
  try {
    compileRetryDelay(expression);
  } catch (error) {
    throw new ApiError(400, `invalid Upstash-Retry-Delay: ${error instanceof Error ? error.message : String(error)}`);
  }
  return expression;
}

function readFlowControl(key: string | undefined, text: string | undefined): MessageConfig["flowControl"] {
  if (key === undefined && text === undefined) return undefined;
  if (key === undefined) throw new ApiError(400, "Upstash-Flow-Control-Value needs Upstash-Flow-Control-Key beside it");
  if (text === undefined)
    throw new ApiError(400, "Upstash-Flow-Control-Key needs Upstash-Flow-Control-Value beside it");
  const given = new Map(text.split(",").map((pair) => splitPair(pair)));
  const parallelism = readCount(given.get("parallelism"), "flow control parallelism");
  const rate = readCount(given.get("rate"), "flow control rate");
  const period = given.get("period");
  if ((parallelism ?? rate) === undefined) {
    throw new ApiError(400, `invalid Upstash-Flow-Control-Value: expected parallelism or rate, found "${text}"`);
  }
  const periodSeconds =
    period === undefined ? 1 : readDuration(/^\d+$/.test(period) ? `${period}s` : period, "period") / 1000;
  if (periodSeconds <= 0 || periodSeconds > MAX_PERIOD_SECONDS) {
    throw new ApiError(400, "invalid flow control period: expected more than nothing and at most a week");
  }
  return { key, parallelism: parallelism || undefined, rate: rate || undefined, periodSeconds };
}

function splitPair(pair: string): [string, string] {
  const [name = "", value = ""] = pair.split("=", 2);
  return [name.trim().toLowerCase(), value.trim()];
}

/**
 * A callback is an ordinary message, so `Upstash-Callback-Retries` is the `Upstash-Retries` of that message, and so
 * on for every name: the prefix goes, the rest is read like any publish request.
 */
function readCallback(headers: Headers, prefix: string, retries: number, rules: ConfigRules): Callback | undefined {
  const url = headers.get(prefix)?.trim();
  if (!url) return undefined;
  checkDestination(url, rules.allowDestinations);
  const own = new Headers({ "content-type": "application/json", "upstash-retries": `${retries}` });
  for (const [name, value] of headers) {
    if (name.startsWith(`${prefix}-`)) own.set(`upstash-${name.slice(prefix.length + 1)}`, value);
  }
  const config = parseConfig(own, rules);
  if (config.delayMillis > 0 || config.notBeforeSeconds !== undefined) {
    throw new ApiError(400, "callbacks can not be delayed");
  }
  return { url, headers: own };
}

function forwardedHeaders(headers: Headers): HeaderMap {
  const all = headers.get("upstash-header-forward")?.toLowerCase() === "true";
  const kept = new Map<string, string>();
  for (const [name, value] of headers) {
    if (name === "content-type") kept.set(name, value);
    else if (all && !name.startsWith("upstash-") && !NOT_FORWARDED.has(name) && !isConnectionHeader(name)) {
      kept.set(name, value);
    }
  }
  for (const [name, value] of headers) {
    const target = name.startsWith("upstash-forward-") ? name.slice("upstash-forward-".length) : "";
    if (target !== "" && !isConnectionHeader(target)) kept.set(target, value);
  }
  return toHeaderMap(kept);
}
