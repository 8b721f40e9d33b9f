import type { Context } from "hono";
import { joinUrl } from "../model/destination.ts";
import type { Service } from "./configuration.ts";

/** A request whose body was read within its limit and whose signature was verified. */
export interface VerifiedRequest {
  /** The body as text. */
  readonly body: string;
  /** The URL that was signed for. */
  readonly url: URL;
  /** That URL without its query. */
  readonly subject: string;
}

/**
 * Reads and verifies a request of the transport; the answer to give instead where that fails. Nothing is looked up
 * before: a stranger reaches no store. The body of a refusal is constant, its reason goes to the observer.
 */
export async function verifyRequest(c: Context, service: Service, limit: number): Promise<VerifiedRequest | Response> {
  const { core, receiver, publicUrl } = service;
  const path = c.req.path;
  const refuse = (status: number, reason: string, text: string): Response => {
    core.emit({ type: "rejected", path, status, reason });
    return answer(status, { error: { code: text } });
  };
  if (c.req.method !== "POST") return refuse(405, `method ${c.req.method}`, "method not allowed");
  const body = await readBody(c.req.raw.body, limit);
  if (body === undefined) return refuse(413, `body larger than ${limit} bytes`, "body too large");
  if (receiver === undefined || publicUrl === undefined)
    return refuse(401, "no receiver is configured", "unauthorized");
  const url = signedUrl(publicUrl, c.req.url);
  const verification = await receiver.verify({ headers: c.req.raw.headers, body, url });
  if (!verification.verified) return refuse(401, verification.reason, "unauthorized");
  if (verification.signedBy === "next") core.emit({ type: "signedByNext", path });
  return { body: textOf(body), url: new URL(url), subject: verification.subject };
}

/** The body as text. What is not UTF-8, and a byte order mark, become what no JSON begins with: never other data. */
function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return "\ufffd";
  }
}

/** The URL the transport was told to call: scheme and host by configuration, path and query as requested. */
export function signedUrl(publicUrl: URL, requested: string): string {
  const { pathname, search } = new URL(requested);
  const base = publicUrl.pathname.replace(/\/+$/, "");
  const whole = base === "" || pathname === base || pathname.startsWith(`${base}/`);
  return whole ? new URL(publicUrl.origin + pathname + search).href : joinUrl(publicUrl.href, pathname + search);
}

/** The bytes of a body, counted as they come in; `undefined` as soon as they pass the limit. A Content-Length is not believed. */
export async function readBody(
  stream: ReadableStream<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array | undefined> {
  return stream === null ? new Uint8Array() : readAll(stream.getReader(), limit);
}

/** The same of a reader, so that others may end it. */
export async function readAll(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limit: number,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      // Nobody waits for it: of a body that was cloned it ends with the other copy.
      void reader.cancel().catch(() => undefined);
      return undefined;
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** A JSON answer that nobody caches. */
export function answer(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
