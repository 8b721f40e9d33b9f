/**
 * AES-256-GCM by the runtime's WebCrypto. Keys are imported once each, and cannot be read out again.
 *
 * Source: NIST SP 800-38D: with random vectors of 96 bits, at most 2^32 encryptions under one key.
 */

/** The length of an initialization vector, in bytes. */
export const IV_BYTES = 12;
/** The length of an authentication tag, in bytes. */
export const TAG_BYTES = 16;
/** The length of a key, in bytes. */
export const KEY_BYTES = 32;

/** What is authenticated and encrypted together. */
export interface GcmParts {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 12 bytes, never the same twice under one key. */
  readonly iv: Uint8Array;
  /** Authenticated, and not encrypted. */
  readonly additional: Uint8Array;
}

/** A fresh initialization vector. */
export function randomIv(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(IV_BYTES));
}

/** The ciphertext, with its tag at the end. */
export async function encryptGcm(parts: GcmParts, plain: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.encrypt(algorithmOf(parts), await importedKey(parts.key), own(plain)));
}

/** The plaintext; `undefined` where any of it is not what was encrypted under that key. */
export async function decryptGcm(parts: GcmParts, sealed: Uint8Array): Promise<Uint8Array | undefined> {
  const key = await importedKey(parts.key);
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithmOf(parts), key, own(sealed)));
  } catch (error) {
    if (error instanceof Error && error.name === "OperationError") return undefined;
    throw error;
  }
}

function algorithmOf({ iv, additional }: GcmParts) {
  return { name: "AES-GCM", iv: own(iv), additionalData: own(additional), tagLength: TAG_BYTES * 8 };
}

function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

type ImportedKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const imported = new WeakMap<Uint8Array, Promise<ImportedKey>>();

function importedKey(key: Uint8Array): Promise<ImportedKey> {
  let found = imported.get(key);
  if (found === undefined) {
    found = crypto.subtle.importKey("raw", own(key), "AES-GCM", false, ["encrypt", "decrypt"]);
    imported.set(key, found);
  }
  return found;
}
