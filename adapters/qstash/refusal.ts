import type { DispatchResult } from "../../src/ports/transport.ts";
import { isFields, parseFields, textField } from "./json.ts";

/** Statuses by which QStash says that this message will never be taken as it is. */
const REFUSING = new Set([400, 413, 422]);
/** Client errors that say nothing about the messages: credentials, the endpoint, the moment. */
const NOT_THE_MESSAGE = new Set([401, 403, 404, 408, 409, 429]);
/** Refusals that pass: names are resolved when a message is published, and quotas are raised or renewed. */
const PASSING = /unable to resolve host|no such host|quota\b.*\bexceeded/i;

const MAX_REASON = 300;
const MAX_WAIT_MILLIS = 86_400_000;

/** The HTTP status that an error of the client carries; by shape, as there may be several copies of its classes. */
export function statusOf(error: unknown): number | undefined {
  const status = isFields(error) ? error.status : undefined;
  return typeof status === "number" ? status : undefined;
}

/** Tells whether a batch refused with this status may have been refused for one of its items. */
export function mayBeOneItem(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && !NOT_THE_MESSAGE.has(status);
}

/** What the error of a call says of the message that was published alone by it, or of each message of a batch. */
export function resultOf(error: unknown, now: number): DispatchResult {
  const status = statusOf(error);
  const said = describe(error);
  if (status === undefined) return { status: "retry", reason: `no usable answer of QStash: ${said}` };
  const reason = `QStash answered ${status}: ${said}`;
  if (REFUSING.has(status) && !PASSING.test(said)) return { status: "refused", reason, code: status };
  const afterMillis = status === 429 ? waitOf(error, now) : undefined;
  return afterMillis === undefined ? { status: "retry", reason } : { status: "retry", reason, afterMillis };
}

/** What QStash said, without the JSON around it, on one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const body = parseFields(error.message);
  const said = (body === undefined ? undefined : textField(body, "error")) ?? error.message;
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${said}${cause}`.replace(/\s+/g, " ").slice(0, MAX_REASON);
}

/** How long a rate limit asks to wait. The header holds seconds, or a time in seconds or milliseconds since 1970. */
function waitOf(error: unknown, now: number): number | undefined {
  if (!isFields(error)) return undefined;
  const waits = [error.retryAfter, error.reset].flatMap((value) => {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number) || number < 0) return [];
    if (number > 1e11) return [number - now];
    return [number > 1e9 ? number * 1_000 - now : number * 1_000];
  });
  const [wait] = waits;
  return wait === undefined ? undefined : Math.min(MAX_WAIT_MILLIS, Math.max(0, Math.ceil(wait)));
}
