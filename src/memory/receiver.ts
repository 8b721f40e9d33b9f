import { toHex, utf8 } from "../model/bytes.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { Receiver } from "../ports/receiver.ts";
import type { TransportDeadLetter } from "../ports/transport.ts";
import { webCrypto } from "../system/crypto.ts";

/** The header that carries the signature of a {@link memoryReceiver}. */
export const SIGNATURE_HEADER = "memory-signature";
const ATTEMPT_HEADER = "memory-attempt";
const META_HEADER = "memory-meta";

/** Options of a memory receiver. */
export interface MemoryReceiverOptions {
  /** What both sides know. @default "secret" */
  readonly secret?: string;
  /** What else it accepts, as the next key of a rotation. */
  readonly nextSecret?: string;
  /** Computes the digest of a token. @default WebCrypto */
  readonly crypto?: Pick<Crypto, "digest">;
}

/** What a request of the transport says outside its body. */
export interface SignOptions {
  /** From 1. @default 1 */
  readonly attempt?: number;
  /** The facts of the delivery record. */
  readonly meta?: string;
  /** Which secret signs. @default the receiver's own */
  readonly secret?: string;
}

/** A receiver that can also sign what it accepts. */
export interface MemoryReceiver extends Receiver {
  /** The headers of a request that the receiver accepts at `url` with `body`. */
  sign(url: string, body: string, options?: SignOptions): Promise<Headers>;
  /** The body of a failure callback: what {@link Receiver.parseFailure} reads. */
  failureBody(letter: TransportDeadLetter): string;
}

/**
 * Verifies requests that tests sign with a shared secret. The digest of secret, URL and body stands in a header: enough
 * to tell the signed from the forged in a test, and no replacement for a transport's own signature.
 */
export function memoryReceiver(options: MemoryReceiverOptions = {}): MemoryReceiver {
  const { secret = "secret", nextSecret, crypto = webCrypto } = options;
  const secrets = [secret, ...(nextSecret === undefined ? [] : [nextSecret])];

  const signature = async (key: string, url: string, body: Uint8Array): Promise<string> => {
    const digest = toHex(await crypto.digest(body));
    return toHex(await crypto.digest(utf8([key, url, digest].map((part) => `${part.length}:${part}`).join(""))));
  };

  return {
    async verify({ headers, body, url }) {
      const found = headers.get(SIGNATURE_HEADER);
      if (found === null) return { verified: false, reason: `no header "${SIGNATURE_HEADER}"` };
      for (const [i, key] of secrets.entries()) {
        if (found !== (await signature(key, url, body))) continue;
        const subject = url.split("?")[0]!;
        return { verified: true, subject, tokenId: found.slice(0, 16), signedBy: i === 0 ? "current" : "next" };
      }
      return { verified: false, reason: "signed with another secret, or for another URL or body" };
    },

    hints(headers) {
      const meta = headers.get(META_HEADER);
      return { attempt: Number(headers.get(ATTEMPT_HEADER) ?? 1), ...(meta === null ? {} : { meta }) };
    },

    parseFailure(body) {
      const letter = parseLetter(body);
      return letter === undefined ? { reason: "expected a dead letter as JSON, found other text" } : { letter };
    },

    async sign(url, body, { attempt = 1, meta, secret: key = secret } = {}) {
      return new Headers({
        [SIGNATURE_HEADER]: await signature(key, url, utf8(body)),
        [ATTEMPT_HEADER]: String(attempt),
        ...(meta === undefined ? {} : { [META_HEADER]: meta }),
      });
    },

    failureBody: (letter) => JSON.stringify(letter),
  };
}

function parseLetter(body: string): TransportDeadLetter | undefined {
  try {
    const value = JSON.parse(body) as Partial<TransportDeadLetter> | null;
    return typeof value?.url === "string" && typeof value.body === "string"
      ? (value as TransportDeadLetter)
      : undefined;
  } catch {
    return undefined;
  }
}
