import { createHmac, hash, timingSafeEqual } from "node:crypto";
import type { Crypto } from "aftercommit";
import { seededRandom } from "../random.ts";

/** SHA-256, at once. */
export function sha256(bytes: Uint8Array | string): Uint8Array {
  return hash("sha256", bytes, "buffer");
}

/** HMAC-SHA-256, at once. What was signed a moment ago and is verified now is computed once. */
export function hmacSha256(key: Uint8Array | string, bytes: Uint8Array | string): Uint8Array {
  const name = `${latin1(key)} ${latin1(bytes)}`;
  if (name === last.name) return last.mac;
  last.mac = createHmac("sha256", key).update(bytes).digest();
  last.name = name;
  return last.mac;
}

const last = { name: "", mac: new Uint8Array() };

function latin1(bytes: Uint8Array | string): string {
  if (typeof bytes === "string") return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** Real digests and signatures, synchronous; what it calls random is the same in every run of a seed. */
export function repeatableCrypto(seed: number): Crypto {
  const random = seededRandom(seed);
  return {
    digest: sha256,
    verifyHmac(key, signature, bytes) {
      const expected = hmacSha256(key, bytes);
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    },
    random(length) {
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i++) bytes[i] = random.below(256);
      return bytes;
    },
  };
}
