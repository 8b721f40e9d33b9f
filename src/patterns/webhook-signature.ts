import { fromBase64Url, toBase64Url, utf8 } from "../model/bytes.ts";
import type { Crypto } from "../ports/crypto.ts";

/** The headers of a signed call. */
export const WEBHOOK_ID_HEADER = "webhook-id";
/** Seconds since 1970. */
export const WEBHOOK_TIMESTAMP_HEADER = "webhook-timestamp";
/** One signature or more, with blanks between them. */
export const WEBHOOK_SIGNATURE_HEADER = "webhook-signature";

/** How old or how early a call may be. */
export const WEBHOOK_TOLERANCE_SECONDS = 300;

const PREFIX = "whsec_";
const BLOCK = 64;
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;
/** The signatures of a few keys; each more costs a verification. */
const MAX_SIGNATURES = 8;
/** Without a dot: it could shift the parts of what is signed. */
const ID = /^[\w-]{1,256}$/;

/** A call as it was received: nothing of it is trusted yet. */
export interface ReceivedWebhook {
  /** The request's headers. */
  readonly headers: Headers;
  /** The raw body, already limited. */
  readonly body: Uint8Array;
}

/** What verification found. The reason is for logs only. */
export type WebhookVerification =
  | { readonly verified: true; readonly id: string }
  | { readonly verified: false; readonly reason: string };

/** The key of a secret `whsec_<base64 of 24 to 64 bytes>`; `undefined` where it is none. */
export function parseWebhookSecret(secret: string): Uint8Array | undefined {
  if (!secret.startsWith(PREFIX)) return undefined;
  const key = fromBase64(secret.slice(PREFIX.length));
  return key !== undefined && key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES ? key : undefined;
}

/** The headers that sign a body for whoever has the key. Source: Standard Webhooks 1.0, symmetric signatures. */
export async function signWebhook(
  crypto: Pick<Crypto, "digest">,
  key: Uint8Array,
  { id, at, body }: { readonly id: string; readonly at: number; readonly body: string },
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(at / 1_000));
  const signature = await hmac(crypto, key, signed(id, timestamp, utf8(body)));
  return {
    [WEBHOOK_ID_HEADER]: id,
    [WEBHOOK_TIMESTAMP_HEADER]: timestamp,
    [WEBHOOK_SIGNATURE_HEADER]: `v1,${toBase64(signature)}`,
  };
}

/**
 * Tells whether a call was signed with one of the keys, over exactly this body, within the tolerance of `now`. Signatures of
 * other versions are passed over. A replay within the tolerance verifies: what it asks for must be idempotent.
 */
export async function verifyWebhook(
  crypto: Pick<Crypto, "verifyHmac">,
  keys: readonly Uint8Array[],
  { headers, body }: ReceivedWebhook,
  now: number,
): Promise<WebhookVerification> {
  const id = headers.get(WEBHOOK_ID_HEADER) ?? "";
  const timestamp = headers.get(WEBHOOK_TIMESTAMP_HEADER) ?? "";
  if (!ID.test(id)) return { verified: false, reason: `expected the header ${WEBHOOK_ID_HEADER}` };
  if (!/^\d{1,12}$/.test(timestamp))
    return { verified: false, reason: `expected seconds in the header ${WEBHOOK_TIMESTAMP_HEADER}` };
  if (Math.abs(now - Number(timestamp) * 1_000) > WEBHOOK_TOLERANCE_SECONDS * 1_000)
    return { verified: false, reason: "expected a call of now, found one that is too old or too early" };
  const signatures = (headers.get(WEBHOOK_SIGNATURE_HEADER) ?? "").split(" ").slice(0, MAX_SIGNATURES);
  const bytes = signed(id, timestamp, body);
  for (const text of signatures) {
    const signature = text.startsWith("v1,") ? fromBase64(text.slice(3)) : undefined;
    if (signature === undefined) continue;
    for (const key of keys) if (await crypto.verifyHmac(key, signature, bytes)) return { verified: true, id };
  }
  return { verified: false, reason: "expected a signature of one of the secrets" };
}

function signed(id: string, timestamp: string, body: Uint8Array): Uint8Array {
  return concat(utf8(`${id}.${timestamp}.`), body);
}

/** HMAC-SHA-256 by digests alone, as that is all that every implementation of the port makes. Source: RFC 2104. */
async function hmac(crypto: Pick<Crypto, "digest">, key: Uint8Array, bytes: Uint8Array): Promise<Uint8Array> {
  const padded = new Uint8Array(BLOCK);
  padded.set(key);
  const inner = await crypto.digest(
    concat(
      padded.map((byte) => byte ^ 0x36),
      bytes,
    ),
  );
  return crypto.digest(
    concat(
      padded.map((byte) => byte ^ 0x5c),
      inner,
    ),
  );
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

function toBase64(bytes: Uint8Array): string {
  const text = toBase64Url(bytes).replaceAll("-", "+").replaceAll("_", "/");
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

/** Padded or not; `undefined` for what is not the one canonical form. */
function fromBase64(text: string): Uint8Array | undefined {
  if (/[-_]/.test(text) || !/^[^=]*={0,2}$/.test(text) || (text.includes("=") && text.length % 4 !== 0))
    return undefined;
  return fromBase64Url(text.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_"));
}
