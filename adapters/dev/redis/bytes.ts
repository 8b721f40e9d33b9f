import { Buffer } from "node:buffer";

/**
 * Byte strings: JavaScript strings in which every character is one byte (0 to 255).
 *
 * The store, the scripts and the replies all hold text in this form, so that a length is a length in bytes, `<`
 * orders as Redis does, and a value that is no UTF-8 survives. ASCII text is the same in both forms; only the edges
 * (HTTP, JSON) convert.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const ASCII = /^[\0-\x7f]*$/;
const ONE_BYTE_EACH = /^[\0-\xff]*$/;

/** Above this length, a call into native code beats a loop. */
const NATIVE_FROM = 32;

/** Returns whether `text` can be a byte string: no character above 255. */
export function isByteString(text: string): boolean {
  return ONE_BYTE_EACH.test(text);
}

/** Encodes text as the byte string of its UTF-8 form. */
export function fromText(text: string): string {
  return ASCII.test(text) ? text : fromBytes(encoder.encode(text));
}

/** Decodes a byte string as UTF-8; bytes that are none become U+FFFD. */
export function toText(bytes: string): string {
  return ASCII.test(bytes) ? bytes : decoder.decode(toBytes(bytes));
}

export function fromBytes(bytes: Uint8Array): string {
  if (bytes.length > NATIVE_FROM) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  }
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** Orders byte strings as `memcmp` does. */
export function compareBytes(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
