import { createHash, createHmac } from "node:crypto";
import type { SignedRequest } from "../../../src/ports/receiver.ts";

export const CURRENT_KEY = "sig_test_current_0123456789abcdef";
export const NEXT_KEY = "sig_test_next_0123456789abcdefgh";
export const URL_OF_CONSUMER = "https://shop.example.com/consumers/receipt";
/** On the test's clock, in seconds since 1970. */
export const NOW = 1_800_000_000;

/** What a token says, and how it is made; whatever is left out is as QStash does it. */
export interface TokenOptions {
  readonly key?: string;
  readonly body?: string | Uint8Array;
  /** Replaces the whole header. */
  readonly header?: unknown;
  /** Replaces claims; one that is `undefined` is left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The claims as text, for what `JSON.stringify` would not write. */
  readonly payload?: string;
  /** The hash behind the HMAC. */
  readonly hash?: "sha256" | "sha384" | "sha512";
}

/** A token as QStash signs it. */
export function signToken(options: TokenOptions = {}): string {
  const { key = CURRENT_KEY, body = "", hash = "sha256" } = options;
  const header = encode(JSON.stringify(options.header ?? { alg: "HS256", typ: "JWT" }));
  const claims = {
    iss: "Upstash",
    sub: URL_OF_CONSUMER,
    exp: NOW + 300,
    nbf: 0,
    iat: NOW,
    jti: "jwt_1",
    body: `${createHash("sha256").update(body).digest("base64url")}=`,
    ...options.claims,
  };
  const signed = `${header}.${encode(options.payload ?? JSON.stringify(claims))}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest("base64url")}`;
}

/** A request with a token. */
export function requestWith(
  token: string | undefined,
  body: string | Uint8Array = "",
  url = URL_OF_CONSUMER,
): SignedRequest {
  return {
    headers: new Headers(token === undefined ? {} : { "Upstash-Signature": token }),
    body: typeof body === "string" ? new TextEncoder().encode(body) : body,
    url,
  };
}

export function encode(text: string | Uint8Array): string {
  return Buffer.from(text).toString("base64url");
}
