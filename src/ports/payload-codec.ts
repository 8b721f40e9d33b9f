import type { ConfigurationProblem } from "../errors.ts";
import type { Envelope } from "../model/envelope.ts";

/**
 * Turns the data of messages into what is kept and sent in their stead, and back. Whatever it does not hand out is seen by
 * no log, no row, no transport and no dead letter.
 */
export interface PayloadCodec {
  /**
   * What is to be kept and sent instead of an envelope with plain data. The attributes that identify the message stay.
   *
   * @throws {InvalidMessageError} where it cannot be; any other error means that it may succeed later.
   */
  seal(envelope: Envelope, how: SealOptions): Promise<Envelope>;
  /** The envelope with its plain data again. Rejects where that may succeed later. */
  open(envelope: Envelope): Promise<OpenedPayload>;
  /** Drops what was kept for an envelope whose only delivery has been consumed. */
  drop(envelope: Envelope): Promise<void>;
  /** What is wrong with its configuration; empty where nothing is. */
  problems(context: PayloadContext): readonly ConfigurationProblem[];
}

/** What is known of a message that is to be sealed. */
export interface SealOptions {
  /** Whether it must be encrypted, or must not be; otherwise the codec's own configuration decides. */
  readonly encrypted: boolean | undefined;
  /** Whether it goes to one destination alone. */
  readonly exclusive: boolean;
  /** How long from now it must be possible to open it, in milliseconds. */
  readonly neededMillis: number;
}

/** What opening an envelope came to. */
export type OpenedPayload =
  | { readonly status: "opened"; readonly envelope: Envelope }
  /** Not now. `busy` where it is not the message that is at fault, so that its retries are to be spared where they can be. */
  | { readonly status: "retry"; readonly reason: string; readonly busy: boolean }
  /** Never. */
  | { readonly status: "dead"; readonly reason: string };

/** What a codec may look at when it checks its own configuration. */
export interface PayloadContext {
  /** How long a message without a delay must stay readable, in milliseconds. */
  readonly neededMillis: number;
}
