import { ENCRYPTED_MEDIA_TYPE, isEncrypted } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import type { PayloadCodec } from "../ports/payload-codec.ts";
import { claimCheck } from "./claim-check.ts";
import type { ClaimCheckOptions } from "./claim-check.ts";
import { encryption, notEncrypted } from "./encryption.ts";
import type { EncryptionOptions } from "./encryption.ts";
import type { Opened } from "./opened.ts";

/** What happens to the data of messages. */
export interface PayloadsOptions {
  /** Encrypts them. */
  readonly encryption?: EncryptionOptions | undefined;
  /** Keeps large ones in a store; encrypted, where both are configured. */
  readonly claimCheck?: ClaimCheckOptions | undefined;
}

const JSON_MEDIA_TYPE = "application/json";

/**
 * Encrypts the data of messages, or keeps large ones in a store, or both: before anything of a message is kept or sent,
 * so that plain data are in no log, no row, no transport and no dead letter. The same is needed on both sides.
 *
 * @example
 * ```ts
 * const ac = aftercommit<Env>((env) => ({
 *   …,
 *   payloads: payloads({
 *     encryption: { keys: [{ id: "2027-01", key: env.PAYLOAD_KEY }] },
 *     claimCheck: { store: r2Payloads(env.PAYLOADS) },
 *   }),
 * }));
 * ```
 */
export function payloads(options: PayloadsOptions): PayloadCodec {
  const secret = options.encryption && encryption(options.encryption);
  const large = options.claimCheck && claimCheck(options.claimCheck);
  return {
    async seal(envelope, how) {
      // Without data there is nothing to protect; JSON leaves them out.
      const plain = JSON.stringify(envelope.data) ?? "";
      const encrypted = await secret?.encrypt(plain, envelope, how.encrypted);
      if (encrypted === undefined && how.encrypted === true) throw notEncrypted(envelope);
      const text = encrypted ?? plain;
      const reference = await large?.check(text, envelope, how);
      if (encrypted === undefined && reference === undefined) return envelope;
      const { data: _data, ...attributes } = envelope;
      return {
        ...attributes,
        ...(encrypted === undefined ? {} : { datacontenttype: ENCRYPTED_MEDIA_TYPE }),
        ...(reference ?? { data: text }),
      };
    },

    async open(envelope) {
      const found: Opened =
        envelope.dataref === undefined
          ? { status: "text", text: String(envelope.data) }
          : ((await large?.fetch(envelope)) ?? missing("payload store"));
      const plain = found.status === "text" && isEncrypted(envelope) ? await decrypted(found.text, envelope) : found;
      return plain.status === "text" ? parsed(plain.text, envelope) : plain;
    },

    async drop(envelope) {
      await large?.drop(envelope);
    },

    problems: (context) => [...(secret?.problems ?? []), ...(large?.problems(context) ?? [])],
  };

  async function decrypted(text: string, envelope: Envelope): Promise<Opened> {
    return secret === undefined ? missing("key") : secret.decrypt(text, envelope);
  }
}

/** A configuration that is yet to come here opens it. */
function missing(what: string): Opened {
  return { status: "retry", reason: `no ${what} is configured here`, busy: true };
}

function parsed(text: string, envelope: Envelope): Awaited<ReturnType<PayloadCodec["open"]>> {
  const { dataref: _ref, datalength: _length, datasha256: _sha, dataexclusive: _one, data: _data, ...rest } = envelope;
  const attributes = { ...rest, datacontenttype: JSON_MEDIA_TYPE };
  if (text === "") return { status: "opened", envelope: attributes };
  try {
    return { status: "opened", envelope: { ...attributes, data: JSON.parse(text) as unknown } };
  } catch {
    // The engine's own words would quote the text.
    return { status: "dead", reason: "the data are not JSON" };
  }
}
