import type { ConfigurationProblem } from "../errors.ts";
import { InvalidMessageError } from "../errors.ts";
import { fromBase64Url } from "../model/bytes.ts";
import { ENCRYPTED_MEDIA_TYPE } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { KEY_BYTES } from "../system/aes-gcm.ts";
import { bindingOf, decryptJwe, encryptJwe, isBoundTo, parseJwe } from "./jwe.ts";
import type { Opened } from "./opened.ts";

/** Encrypts the data of messages from the producer to the consumer, with AES-256-GCM. */
export interface EncryptionOptions {
  /**
   * The first one encrypts, all of them decrypt. To rotate: add the new one behind, everywhere; then put it first,
   * everywhere; and drop the old one once nothing can be waiting that it encrypted.
   */
  readonly keys: readonly EncryptionKey[];
  /** Which topics are encrypted that do not say so themselves: `"all"`, or none but the `"declared"` ones. @default "all" */
  readonly topics?: "all" | "declared";
}

/** One key, the same for those who produce and those who consume. */
export interface EncryptionKey {
  /** Names it; travels with each message, in the clear. 1 to 64 letters, digits, `_`, `.` and `-`. */
  readonly id: string;
  /** 32 random bytes, or these in base64 or base64url. */
  readonly key: string | Uint8Array;
}

/** Encrypts and decrypts texts. */
export interface Encryption {
  /** Encrypts the text of a message's data; `undefined` where it is to stay as it is. */
  encrypt(text: string, envelope: Envelope, wanted: boolean | undefined): Promise<string | undefined>;
  decrypt(text: string, envelope: Envelope): Promise<Opened>;
  readonly problems: readonly ConfigurationProblem[];
}

const KEY_ID = /^[A-Za-z0-9_.-]{1,64}$/;

/** Makes the encryption of a service. */
export function encryption({ keys, topics = "all" }: EncryptionOptions): Encryption {
  const known = new Map(keys.map(({ id, key }) => [id, bytesOf(key)]));
  const first = keys[0];
  return {
    async encrypt(text, envelope, wanted = topics === "all") {
      const key = first && known.get(first.id);
      if (!wanted || key === undefined) return undefined;
      return encryptJwe(text, first!.id, key, bindingOf(envelope));
    },

    async decrypt(text, envelope) {
      const jwe = parseJwe(text);
      if (jwe === undefined) return { status: "dead", reason: `expected data of the type ${ENCRYPTED_MEDIA_TYPE}` };
      if (!isBoundTo(jwe, envelope))
        return { status: "dead", reason: "the encrypted data are those of another message" };
      const key = known.get(jwe.keyId);
      // Whoever encrypted with it has it from a configuration that is yet to come here, or has gone too early.
      if (key === undefined)
        return { status: "retry", reason: `the key "${jwe.keyId.slice(0, 64)}" is not configured here`, busy: true };
      const plain = await decryptJwe(jwe, key);
      if (plain !== undefined) return { status: "text", text: plain };
      return {
        status: "dead",
        reason: "the encrypted data have been changed, or their key was another of the same id",
      };
    },

    problems: problemsOf(keys),
  };
}

/** Says that a topic must be encrypted, and that nothing here can. */
export function notEncrypted(envelope: Envelope): InvalidMessageError {
  return new InvalidMessageError(`Expected encryption for the topic "${envelope.type}", found no keys.`, {
    hint: "Configure payloads({ encryption: { keys } }).",
    messageId: envelope.id,
  });
}

function bytesOf(key: string | Uint8Array): Uint8Array | undefined {
  const bytes =
    typeof key === "string"
      ? fromBase64Url(
          key
            .replaceAll("+", "-")
            .replaceAll("/", "_")
            .replace(/={0,2}$/, ""),
        )
      : Uint8Array.from(key);
  return bytes?.length === KEY_BYTES ? bytes : undefined;
}

/** What is wrong with the keys; nothing of them is told but their ids. */
function problemsOf(keys: readonly EncryptionKey[]): readonly ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const path = "payloads.encryption.keys";
  if (keys.length === 0)
    problems.push({ path, expected: "at least one key", found: "none", remedy: "Draw 32 random bytes." });
  for (const [i, { id, key }] of keys.entries()) {
    if (!KEY_ID.test(id) || keys.findIndex((other) => other.id === id) !== i) {
      problems.push({
        path: `${path}[${i}].id`,
        expected: "1 to 64 letters, digits, '_', '.' and '-', each id once",
        found: JSON.stringify(id.slice(0, 64)),
        remedy: 'Name it after the day when it was made, such as "2027-01".',
      });
    }
    if (bytesOf(key) === undefined) {
      problems.push({
        path: `${path}[${i}].key`,
        expected: `${KEY_BYTES} bytes, or these in base64`,
        found: "something else",
        remedy: "Draw one by: openssl rand -base64 32.",
      });
    }
  }
  return problems;
}
