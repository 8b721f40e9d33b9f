import { fromBase64Url, utf8 } from "../../src/model/bytes.ts";
import { textOf } from "./base64.ts";
import { field, parseFields, textField } from "./json.ts";
import type { Fields } from "./json.ts";

/** A signed token of which only the form is known to be right. */
export interface UnverifiedToken {
  /** What the signature is over. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly claims: Fields;
}

/** The claims of a token of QStash. Times are in seconds since 1970. */
export interface Claims {
  readonly iss: string;
  readonly sub: string;
  readonly exp: number;
  readonly nbf: number;
  readonly iat: number;
  /** The hash of the body, in base64url. */
  readonly body: string;
  readonly jti: string | undefined;
}

/** Longer tokens are refused unread; QStash's have some 500 letters. */
const MAX_TOKEN_LENGTH = 4_096;
const MAX_HEADER_LENGTH = 1_024;
/** QStash signs for 300 s. */
const MAX_LIFETIME_SECONDS = 600;

/**
 * Takes a compact JWT apart. The algorithm is fixed here, before any key is touched; header fields that name keys, such as
 * `jwk`, are not read, and those that change what is signed are refused.
 *
 * Source: RFC 7515, section 7.1; RFC 8725, sections 3.1 and 3.10.
 */
export function parseToken(token: string): UnverifiedToken | { readonly reason: string } {
  if (token.length > MAX_TOKEN_LENGTH) return { reason: `expected a token of at most ${MAX_TOKEN_LENGTH} letters` };
  const parts = token.split(".");
  const [header = "", payload = "", mac = ""] = parts;
  if (parts.length !== 3 || header === "" || payload === "" || mac === "") {
    return { reason: "expected a token of three parts" };
  }
  if (header.length > MAX_HEADER_LENGTH) return { reason: `expected a header of at most ${MAX_HEADER_LENGTH} letters` };
  const protectedHeader = decodePart(header);
  if (protectedHeader === undefined) return { reason: "expected a header of base64url JSON" };
  if (field(protectedHeader, "alg") !== "HS256") return { reason: 'expected the algorithm "HS256"' };
  for (const name of ["crit", "b64"]) {
    if (Object.hasOwn(protectedHeader, name)) return { reason: `expected a header without "${name}"` };
  }
  const signature = fromBase64Url(mac);
  if (signature === undefined) return { reason: "expected a signature in base64url" };
  const claims = decodePart(payload);
  if (claims === undefined) return { reason: "expected claims of base64url JSON" };
  return { signed: utf8(`${header}.${payload}`), signature, claims };
}

/** Checks the claims of a token that is verified to be QStash's, at `now` in seconds since 1970. */
export function readClaims(
  fields: Fields,
  now: number,
  toleranceSeconds: number,
): Claims | { readonly reason: string } {
  const [iss, sub, body] = [textField(fields, "iss"), textField(fields, "sub"), textField(fields, "body")];
  if (iss !== "Upstash") return { reason: 'expected the issuer "Upstash"' };
  if (sub === undefined) return { reason: 'expected a URL in the claim "sub"' };
  if (body === undefined) return { reason: 'expected a hash in the claim "body"' };
  const [exp, nbf, iat] = [dateField(fields, "exp"), dateField(fields, "nbf"), dateField(fields, "iat")];
  if (exp === undefined) return { reason: 'expected a time in the claim "exp"' };
  if (nbf === undefined) return { reason: 'expected a time in the claim "nbf"' };
  if (iat === undefined) return { reason: 'expected a time in the claim "iat"' };
  if (exp - iat > MAX_LIFETIME_SECONDS) return { reason: `expected a life of at most ${MAX_LIFETIME_SECONDS} s` };
  if (exp <= now - toleranceSeconds) return { reason: `expired ${now - exp} s ago` };
  if (nbf > now + toleranceSeconds) return { reason: `valid only in ${nbf - now} s` };
  if (iat > now + toleranceSeconds) return { reason: `issued ${iat - now} s in the future` };
  return { iss, sub, exp, nbf, iat, body, jti: textField(fields, "jti") };
}

function decodePart(part: string): Fields | undefined {
  const bytes = fromBase64Url(part);
  return bytes === undefined ? undefined : parseFields(textOf(bytes));
}

/** A NumericDate: whole seconds. Texts, fractions and what JSON overflows to infinity are none. */
function dateField(fields: Fields, name: string): number | undefined {
  const value = field(fields, name);
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
