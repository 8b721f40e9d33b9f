const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH = 27;

/** The prefixes that tell what an identifier or a key names. */
export type IdPrefix = "msg" | "scd" | "jwt" | "sig" | "tok";

/** A random identifier such as `msg_…`: 27 letters and digits, about 160 bits. */
export function randomId(prefix: IdPrefix): string {
  const bytes = crypto.getRandomValues(new Uint8Array(LENGTH));
  // 256 is no multiple of 62, so the first letters are a little likelier: harmless for an identifier of this length.
  return `${prefix}_${[...bytes].map((byte) => ALPHABET[byte % ALPHABET.length]).join("")}`;
}
