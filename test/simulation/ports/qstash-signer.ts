import { hmacSha256, sha256 } from "./crypto.ts";

/** The keys that QStash signs with, now and after the next rotation. */
export interface SigningKeys {
  readonly current: string;
  readonly next: string;
}

/** The keys of the beginning, and what each rotation makes of them. */
export function keysAfter(rotations: number): SigningKeys {
  return { current: keyNumber(rotations), next: keyNumber(rotations + 1) };
}

function keyNumber(number: number): string {
  return `sig_simulated_signing_key_${String(number).padStart(4, "0")}`;
}

const HEADER = base64Url(JSON.stringify({ alg: "HS256", typ: "JWT" }));

/** The token of a call, as QStash makes it; `at` is in milliseconds since 1970. */
export function signed(key: string, url: string, body: string, at: number): string {
  const now = Math.floor(at / 1_000);
  const claims = {
    iss: "Upstash",
    sub: url,
    exp: now + 300,
    nbf: now,
    iat: now,
    jti: `jwt_${now}`,
    body: `${base64Url(sha256(body))}=`,
  };
  const content = `${HEADER}.${base64Url(JSON.stringify(claims))}`;
  return `${content}.${base64Url(hmacSha256(key, content))}`;
}

function base64Url(data: string | Uint8Array): string {
  return Buffer.from(data as Uint8Array).toString("base64url");
}
