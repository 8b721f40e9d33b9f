import type { Crypto } from "../ports/crypto.ts";

/** The runtime's WebCrypto. Keys are imported once each. */
export const webCrypto: Crypto = {
  async digest(bytes) {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  },

  async verifyHmac(key, signature, bytes) {
    const imported = await importedKey(key);
    return crypto.subtle.verify(
      "HMAC",
      imported,
      signature as Uint8Array<ArrayBuffer>,
      bytes as Uint8Array<ArrayBuffer>,
    );
  },

  random: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

type ImportedKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const imported = new WeakMap<Uint8Array, Promise<ImportedKey>>();

function importedKey(key: Uint8Array): Promise<ImportedKey> {
  let found = imported.get(key);
  if (found === undefined) {
    found = crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, { name: "HMAC", hash: "SHA-256" }, false, [
      "verify",
    ]);
    imported.set(key, found);
  }
  return found;
}
