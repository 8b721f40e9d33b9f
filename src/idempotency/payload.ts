import type { Context } from "hono";
import { toHex, utf8 } from "../model/bytes.ts";
import { fingerprint } from "../model/ids.ts";
import type { Crypto } from "../ports/crypto.ts";
import { readBody } from "../middleware/signed-request.ts";
import type { ResolvedOptions } from "./options.ts";

/**
 * What a request asks for, as a fingerprint: the key of one request is refused for another. The handler can still read
 * the body. `undefined` where the body is larger than the limit.
 */
export async function payloadOf(c: Context, crypto: Crypto, options: ResolvedOptions): Promise<string | undefined> {
  const body = await bodyOf(c, options.payloadLimit);
  if (body === undefined) return undefined;
  if (options.payload !== undefined) return fingerprint(crypto, await options.payload(c, body));
  const { pathname, search } = new URL(c.req.url);
  const { type, bytes } = comparable(c.req.header("content-type") ?? "", body);
  return fingerprint(crypto, c.req.method, pathname + search, type, toHex(await crypto.digest(bytes)));
}

/** The bytes of the body. One that other middleware has read already is what Hono keeps of it. */
async function bodyOf(c: Context, limit: number): Promise<Uint8Array | undefined> {
  const { raw } = c.req;
  if (!raw.bodyUsed) return readBody(raw.clone().body, limit);
  const bytes = new Uint8Array(await c.req.arrayBuffer());
  return bytes.length <= limit ? bytes : undefined;
}

/** A form that is sent again has another boundary each time, and the same content. */
function comparable(contentType: string, body: Uint8Array): { readonly type: string; readonly bytes: Uint8Array } {
  const type = contentType.trim();
  const boundary = /^multipart\/[^;]+;.*\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type)?.slice(1).find(Boolean);
  if (boundary === undefined) return { type, bytes: body };
  // One character a byte, and one byte a character: no two bodies become one.
  const text = new TextDecoder("windows-1252").decode(body).replaceAll(`--${boundary}`, "--");
  return { type: type.split(";")[0]!.toLowerCase(), bytes: utf8(text) };
}
