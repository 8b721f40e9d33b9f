import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, createHmac, timingSafeEqual } from "node:crypto";
import { afterAll, vi } from "vitest";

const TAG_BYTES = 16;

interface Gcm {
  readonly name: string;
  readonly iv: Uint8Array;
  readonly additionalData: Uint8Array;
}

/** A key as the instant WebCrypto holds it. */
interface Key {
  readonly raw: Uint8Array;
}

/**
 * Makes WebCrypto answer within the turn of the event loop in which it is called, for the tests of a file whose worlds count
 * turns: the runtime's own works in other threads, and takes as long as these are busy.
 */
export function useInstantCrypto(): void {
  const { getRandomValues, randomUUID } = crypto;
  const hmac = ({ raw }: Key, bytes: Uint8Array) => createHmac("sha256", raw).update(bytes).digest();
  const subtle = {
    digest: async (_name: string, bytes: Uint8Array) => createHash("sha256").update(bytes).digest(),
    importKey: async (_format: string, raw: Uint8Array): Promise<Key> => ({ raw }),
    sign: async (_name: string, key: Key, bytes: Uint8Array) => hmac(key, bytes),
    verify: async (_name: string, key: Key, signature: Uint8Array, bytes: Uint8Array) =>
      signature.length === 32 && timingSafeEqual(signature, hmac(key, bytes)),
    async encrypt({ iv, additionalData }: Gcm, { raw }: Key, bytes: Uint8Array) {
      const cipher = createCipheriv("aes-256-gcm", raw, iv).setAAD(additionalData);
      return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    },
    async decrypt({ iv, additionalData }: Gcm, { raw }: Key, bytes: Uint8Array) {
      const end = bytes.length - TAG_BYTES;
      const decipher = createDecipheriv("aes-256-gcm", raw, iv).setAAD(additionalData).setAuthTag(bytes.subarray(end));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(0, end)), decipher.final()]);
      } catch (cause) {
        throw new DOMException(String(cause), "OperationError");
      }
    },
  };
  vi.stubGlobal("crypto", {
    subtle,
    getRandomValues: getRandomValues.bind(crypto),
    randomUUID: randomUUID.bind(crypto),
  });
  afterAll(() => vi.unstubAllGlobals());
}
