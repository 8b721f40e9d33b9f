import type { Context } from "hono";
import { UndecodableError } from "../errors.ts";
import { fromBase64Url, toBase64Url, utf8, utf8Length } from "../model/bytes.ts";
import type { Core } from "../core/core.ts";
import { readAll } from "../middleware/signed-request.ts";
import type { ResolvedOptions } from "./options.ts";

/** What a handler answered, as it is kept. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The body: as it is where it is UTF-8, else in base64url. */
  readonly text?: string;
  readonly base64?: string;
}

/** A request that was done: what its key is answered with. */
export interface DoneRequest {
  /** The fingerprint of what it asked for. */
  readonly payload: string;
  readonly transactionId: string;
  /** What it answered, where that was kept. */
  readonly answer?: KeptAnswer;
}

const VERSION = 1;
/** The most that an answer's headers may have together, in bytes. */
const MAX_HEADER_BYTES = 16_384;
/** An answer whose body is not there by then is a stream. */
const STREAM_MILLIS = 1_000;
/** What belongs to one connection, is made anew for each answer, or is about one run alone. */
const NEVER_KEPT =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|date|age|server-timing|aftercommit-.*|idempotency-replayed)$/;
/** Statuses whose answers have no body. */
const BODILESS: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** A request that was done, as JSON. */
export function encodeDone(done: DoneRequest): string {
  return JSON.stringify({ v: VERSION, ...done });
}

/**
 * Reads a request that was done.
 *
 * @throws {UndecodableError} where another release kept it.
 */
export function decodeDone(text: string): DoneRequest {
  const found = parsed(text) as (Partial<DoneRequest> & { readonly v?: unknown }) | null | undefined;
  if (found?.v === VERSION && typeof found.payload === "string" && typeof found.transactionId === "string")
    return found as DoneRequest;
  throw new UndecodableError(`Expected a kept answer of version ${VERSION}, found another.`, {
    hint: "A newer release may have kept it; it is left for that one.",
  });
}

/** What is to be kept of an answer; `undefined` for one that is too large, or a stream. The answer can still be sent. */
export async function keepable(
  core: Core,
  answer: Response,
  { keptBodyLimit, keepHeader = (name) => name !== "set-cookie" }: ResolvedOptions,
): Promise<KeptAnswer | undefined> {
  const { status } = answer;
  const ofConnection = (answer.headers.get("connection") ?? "").toLowerCase().split(/\s*,\s*/);
  const headers = [...answer.headers].filter(
    ([name]) => !NEVER_KEPT.test(name) && !ofConnection.includes(name) && keepHeader(name),
  );
  if (headers.reduce((sum, [name, value]) => sum + utf8Length(name) + utf8Length(value), 0) > MAX_HEADER_BYTES)
    return undefined;
  if (answer.body === null) return { status, headers };
  const body = isStream(answer.headers) ? undefined : await bodyOf(core, answer, keptBodyLimit);
  return body && { status, headers, ...encodedBody(body) };
}

/** The answer again. What middleware before this one has set for this request counts, and not what it set for the first. */
export function replay(c: Context, { status, headers, text, base64 }: KeptAnswer): Response {
  // Hono lays the headers of a response that is there over those of the next one.
  void c.res;
  // Bytes, as a text would bring a content type of its own.
  const body = text === undefined ? base64 && fromBase64Url(base64) : utf8(text);
  const none = body === undefined || BODILESS.has(status);
  const answer = new Response(none ? null : (body as Uint8Array<ArrayBuffer>), { status });
  for (const [name, value] of headers) answer.headers.append(name, value);
  return answer;
}

/** Server-sent events, and what Hono's helpers stream. */
function isStream(headers: Headers): boolean {
  return headers.has("transfer-encoding") || (headers.get("content-type") ?? "").startsWith("text/event-stream");
}

async function bodyOf(core: Core, answer: Response, limit: number): Promise<Uint8Array | undefined> {
  const waiting = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    reader = (answer.clone() as { readonly body: ReadableStream<Uint8Array> }).body.getReader();
    const late = core.clock.sleep(STREAM_MILLIS, waiting.signal).then(() => undefined);
    const whole = await Promise.race([readAll(reader, limit), late]);
    if (whole === undefined) void reader.cancel().catch(() => undefined);
    return whole;
  } catch {
    // What cannot be read a second time is not kept.
    return undefined;
  } finally {
    waiting.abort("read");
  }
}

function encodedBody(bytes: Uint8Array): Pick<KeptAnswer, "text" | "base64"> {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: toBase64Url(bytes) };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
