import { sha256, toBase64Url } from "./bytes.ts";
import { randomId } from "./ids.ts";

const LIFETIME_SECONDS = 300;
const encoder = new TextEncoder();

export interface SignatureInput {
  /** The signing key: its UTF-8 bytes are the HMAC key. */
  readonly key: string;
  /** The destination as it was published: it becomes the subject. */
  readonly url: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The token of the `Upstash-Signature` header: a JWT (HS256) over the destination and the hash of the raw body. */
export async function sign({ key, url, body, now }: SignatureInput): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  const header = { alg: "HS256", typ: "JWT" };
  const claims = {
    iss: "Upstash",
    sub: url,
    exp: issuedAt + LIFETIME_SECONDS,
    nbf: 0,
    iat: issuedAt,
    jti: randomId("jwt"),
    body: toBase64Url(await sha256(body)),
  };
  const signed = `${encodePart(header)}.${encodePart(claims)}`;
  return `${signed}.${unpadded(toBase64Url(await hmac(key, signed)))}`;
}

async function hmac(key: string, text: string): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, encoder.encode(text)));
}

function encodePart(value: object): string {
  return unpadded(toBase64Url(encoder.encode(JSON.stringify(value))));
}

/** The parts of a JWT carry no padding; the `body` claim does. */
function unpadded(text: string): string {
  return text.replace(/=+$/, "");
}
