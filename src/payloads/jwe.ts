import { fromBase64Url, toBase64Url, utf8 } from "../model/bytes.ts";
import type { Envelope } from "../model/envelope.ts";
import { decryptGcm, encryptGcm, IV_BYTES, randomIv, TAG_BYTES } from "../system/aes-gcm.ts";

/**
 * Encrypted data as a JWE in its compact form, with a key that both sides have (`dir`) and AES-256-GCM (`A256GCM`): any
 * JOSE library opens it. Its header names the key and the message that it belongs to, and is authenticated with the data,
 * so that no ciphertext passes for that of another message.
 *
 * Source: RFC 7516, sections 3.1 and 7.1; RFC 7518, sections 4.5 and 5.3.
 */

/** Which message a ciphertext belongs to. */
export interface Binding {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly dataversion: number;
}

/** A JWE that has been taken apart, and nothing of it believed. */
export interface ParsedJwe {
  /** The key's id. */
  readonly keyId: string;
  /** Which message it says that it belongs to. */
  readonly binding: Readonly<Record<string, unknown>>;
  readonly additional: Uint8Array;
  readonly iv: Uint8Array;
  /** The ciphertext and its tag. */
  readonly sealed: Uint8Array;
}

/** What of an envelope its ciphertext is bound to. */
export function bindingOf({ id, source, type, dataversion = 1 }: Envelope): Binding {
  return { id, source, type, dataversion };
}

/** Whether a ciphertext says that it belongs to that message. */
export function isBoundTo(jwe: ParsedJwe, envelope: Envelope): boolean {
  return Object.entries(bindingOf(envelope)).every(([name, value]) => jwe.binding[name] === value);
}

/** Encrypts a text for one message, under a fresh initialization vector. */
export async function encryptJwe(text: string, keyId: string, key: Uint8Array, binding: Binding): Promise<string> {
  const header = toBase64Url(utf8(JSON.stringify({ alg: "dir", enc: "A256GCM", kid: keyId, ce: binding })));
  const iv = randomIv();
  const sealed = await encryptGcm({ key, iv, additional: utf8(header) }, utf8(text));
  const end = sealed.length - TAG_BYTES;
  const parts = [iv, sealed.subarray(0, end), sealed.subarray(end)].map(toBase64Url);
  return `${header}..${parts.join(".")}`;
}

/** Takes a JWE apart; `undefined` for one that none of ours is like. */
export function parseJwe(text: string): ParsedJwe | undefined {
  const [header = "", wrapped, ...rest] = text.split(".");
  const [iv, ciphertext, tag] = rest.map(fromBase64Url);
  if (rest.length !== 3 || wrapped !== "" || iv?.length !== IV_BYTES || tag?.length !== TAG_BYTES) return undefined;
  const fields = parseHeader(header);
  if (fields === undefined || ciphertext === undefined) return undefined;
  const { alg, enc, kid, ce } = fields;
  if (alg !== "dir" || enc !== "A256GCM" || "zip" in fields || "crit" in fields) return undefined;
  if (typeof kid !== "string" || typeof ce !== "object" || ce === null) return undefined;
  const sealed = new Uint8Array(ciphertext.length + TAG_BYTES);
  sealed.set(ciphertext);
  sealed.set(tag, ciphertext.length);
  return { keyId: kid, binding: ce as Record<string, unknown>, additional: utf8(header), iv, sealed };
}

/** The text again; `undefined` where the key is another, or anything has been changed. */
export async function decryptJwe({ sealed, ...parts }: ParsedJwe, key: Uint8Array): Promise<string | undefined> {
  const plain = await decryptGcm({ key, iv: parts.iv, additional: parts.additional }, sealed);
  return plain === undefined ? undefined : new TextDecoder("utf-8", { ignoreBOM: true }).decode(plain);
}

function parseHeader(text: string): Record<string, unknown> | undefined {
  const bytes = fromBase64Url(text);
  if (bytes === undefined) return undefined;
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
