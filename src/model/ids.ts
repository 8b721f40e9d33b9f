import { toBase64Url, toHex, utf8 } from "./bytes.ts";
import type { Crypto } from "../ports/crypto.ts";

/** The letters that ids may consist of: safe in Redis keys, deduplication ids, URLs and logs. */
const ID = /^[A-Za-z0-9-]{1,64}$/;

/** Tells whether a text may be a transaction id. */
export function isTransactionId(text: string): boolean {
  return ID.test(text);
}

/**
 * Makes a transaction id: a UUID of version 7, so that ids sort by the time they were made.
 *
 * Source: RFC 9562, section 5.7.
 */
export function transactionIdAt(millis: number, crypto: Crypto): string {
  const bytes = crypto.random(16);
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(millis / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** When a transaction id was made, in milliseconds since 1970; `undefined` for an id of another form. */
export function madeAt(transactionId: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(transactionId)) return undefined;
  return Number.parseInt(transactionId.slice(0, 8) + transactionId.slice(9, 13), 16);
}

/** A random, unguessable token of 128 bits: fencing tokens and epochs. */
export function randomToken(crypto: Crypto): string {
  return toBase64Url(crypto.random(16));
}

/** The first 128 bits of SHA-256 over the parts, each preceded by its length so that no two lists of parts agree. */
export async function fingerprint(crypto: Crypto, ...parts: readonly string[]): Promise<string> {
  const digest = await crypto.digest(utf8(parts.map((part) => `${part.length}:${part}`).join("")));
  return toHex(digest.subarray(0, 16));
}
