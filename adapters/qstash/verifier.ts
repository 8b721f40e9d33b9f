import { fromBase64Url } from "../../src/model/bytes.ts";
import { parseUrl } from "../../src/model/destination.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Crypto } from "../../src/ports/crypto.ts";
import type { SignedRequest, Verification } from "../../src/ports/receiver.ts";
import type { SigningKey } from "./signing-keys.ts";
import { parseToken, readClaims } from "./token.ts";
import type { UnverifiedToken } from "./token.ts";

/** What verification needs besides the request. */
export interface VerifierOptions {
  readonly keys: readonly SigningKey[];
  readonly toleranceSeconds: number;
  readonly crypto: Crypto;
  readonly clock: Clock;
}

/** The header that holds the token. */
const SIGNATURE_HEADER = "upstash-signature";

/**
 * Verifies that QStash sent this request, with this body, to this URL, just now.
 *
 * Stricter than the vendor's own receiver: one algorithm, every claim required, canonical encodings, raw bytes. Whatever
 * passes here passes there. The body is hashed whatever the signature is, so that a wrong signature takes as long to
 * refuse as a wrong body.
 *
 * Source: QStash documentation, "Verify signatures"; RFC 7515, RFC 7519.
 */
export async function verifySignature(request: SignedRequest, options: VerifierOptions): Promise<Verification> {
  const { keys, toleranceSeconds, crypto, clock } = options;
  const header = request.headers.get(SIGNATURE_HEADER);
  if (header === null) return refused("expected a signature, found none");
  if (keys.length === 0) return refused("expected a signing key in the configuration, found none");
  const token = parseToken(header);
  if ("reason" in token) return refused(token.reason);
  const digest = await crypto.digest(request.body);
  const key = await signerOf(token, keys, crypto);
  if (key === undefined) return refused("expected a signature by one of the signing keys, found another");
  const claims = readClaims(token.claims, Math.floor(clock.now() / 1_000), toleranceSeconds);
  if ("reason" in claims) return refused(claims.reason);
  const hash = fromBase64Url(claims.body.replace(/=$/, ""));
  if (hash === undefined || !areEqual(hash, digest)) return refused("body-hash: expected the body that was signed");
  const subject = subjectOf(claims.sub, request.url);
  if (subject === undefined) {
    return refused(`expected a signature for ${quoted(request.url)}, found one for ${quoted(claims.sub)}`);
  }
  return { verified: true, subject, tokenId: claims.jti, signedBy: key.role };
}

function refused(reason: string): Verification {
  return { verified: false, reason };
}

async function signerOf(
  { signed, signature }: UnverifiedToken,
  keys: readonly SigningKey[],
  crypto: Crypto,
): Promise<SigningKey | undefined> {
  for (const key of keys) if (await crypto.verifyHmac(key.bytes, signature, signed)) return key;
  return undefined;
}

/** Compares without telling by its time where the difference is. */
function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) difference |= (a[i] ?? 0) ^ b[i]!;
  return difference === 0;
}

/** The signed URL without its query, or `undefined` where it is not the configured one: scheme, host, port, path and query. */
function subjectOf(signed: string, configured: string): string | undefined {
  const [found, expected] = [parseUrl(signed), parseUrl(configured)];
  if (found === undefined || expected === undefined) return undefined;
  for (const part of ["protocol", "host", "pathname", "search", "username", "password", "hash"] as const) {
    if (found[part] !== expected[part]) return undefined;
  }
  return found.origin + found.pathname;
}

function quoted(url: string): string {
  return JSON.stringify(url.slice(0, 500));
}
