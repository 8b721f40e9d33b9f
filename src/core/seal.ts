import { InvalidMessageError } from "../errors.ts";
import { isEncrypted } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { askPayloads } from "./ask.ts";
import type { Core } from "./core.ts";
import type { Settings } from "./settings.ts";

/** How a message's data are to be kept and sent. */
export interface Sealing {
  /** Whether its topic wants them encrypted, or does not. */
  readonly encrypted: boolean | undefined;
  /** To how many destinations it goes. */
  readonly destinations: number;
  /** The earliest delivery, in milliseconds since 1970. */
  readonly notBefore?: number | undefined;
}

/**
 * What is kept and sent instead of an envelope with plain data; the envelope itself in a service without payloads.
 *
 * @throws {InvalidMessageError} where they are to be encrypted, and cannot be: plain ones are kept nowhere then.
 * @throws {UnavailableError} where the payload store is out of reach.
 */
export async function seal(core: Core, envelope: Envelope, how: Sealing): Promise<Envelope> {
  const { payloads } = core;
  const { encrypted, destinations, notBefore = 0 } = how;
  const delay = Math.max(0, notBefore - core.clock.now());
  const neededFor = neededMillis(core.settings) + delay;
  const sealed =
    payloads === undefined
      ? envelope
      : await askPayloads(core, "a payload to be sealed", () =>
          payloads.seal(envelope, { encrypted, exclusive: destinations === 1, neededMillis: neededFor }),
        );
  if (encrypted !== true || isEncrypted(sealed)) return sealed;
  throw new InvalidMessageError(`Expected encryption for the topic "${envelope.type}", found none configured.`, {
    hint: "Configure payloads({ encryption: { keys } }), of aftercommit/payloads.",
    messageId: envelope.id,
  });
}

/** How long what a message without a delay says must stay readable: as long as it may be sent again under its own id. */
export function neededMillis({ decisionRetentionMillis, inboxRetentionMillis }: Settings): number {
  return Math.max(decisionRetentionMillis, inboxRetentionMillis);
}
