import { addressOf } from "../model/destination.ts";
import { parseEnvelope } from "../model/envelope.ts";
import { DEFAULT_RETRIES } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import { consume } from "./consume.ts";
import type { Handler } from "./consume.ts";
import type { Core } from "./core.ts";
import { recordFailure, recordOf } from "./dead-letters.ts";
import type { Consumption } from "./end-run.ts";

/** A delivery that came out of a transport's channel: trusted as far as whoever may write there is. */
export interface ChannelDelivery {
  /** The destination that it was sent to: `scheme:channel/subscriber`. */
  readonly destination: string;
  /** The body, to the letter. */
  readonly body: string;
  /** The facts of its record, where they travelled along. */
  readonly meta?: string;
  /** From 1. */
  readonly attempt: number;
}

/** What the transport is to do with a delivery. */
export type Disposition =
  /** It is done, or has been buried, or is none of ours: take it out of the channel. */
  | { readonly status: "ack" }
  /**
   * Deliver it again, at the earliest after `afterMillis`; without one, after the transport's own wait. `untried` where no
   * attempt was made, so that none is used up.
   */
  | { readonly status: "retry"; readonly reason: string; readonly afterMillis?: number; readonly untried?: true };

/** Who is handed the deliveries to a name. */
export interface Subscriber {
  /** The topic that it takes. */
  readonly topic: Topic;
  /** What runs for each message. */
  readonly handler: Handler<unknown>;
  /** The database of `message.run` and `message.batch`. */
  readonly database: string | undefined;
}

const ACK: Disposition = { status: "ack" };

/**
 * Hands a delivery to its subscriber, through the inbox, and buries it where no retry can help or where the message's own
 * retries are used up: a channel knows nothing of either. Never rejects.
 *
 * What keeps the message from being tried at all (the inbox is out of reach, another run holds the lease) uses nothing up.
 */
export async function receive(
  core: Core,
  subscribers: ReadonlyMap<string, Subscriber>,
  delivery: ChannelDelivery,
): Promise<Disposition> {
  const { destination, body, meta, attempt } = delivery;
  const parsed = parseEnvelope(body);
  const name = addressOf(destination)?.subscriber;
  if ("reason" in parsed || name === undefined) {
    return ignore(core, destination, "reason" in parsed ? parsed.reason : "expected a subscriber's address");
  }
  try {
    const record = await recordOf(
      core,
      { url: destination, body, ...(meta === undefined ? {} : { meta }) },
      parsed.envelope,
    );
    const subscriber = subscribers.get(name);
    const consumption: Consumption =
      subscriber === undefined
        ? { status: "retry", reason: `no subscriber is named "${name}" here`, busy: false }
        : await consume(
            core,
            {
              consumer: name,
              envelope: parsed.envelope,
              attempt,
              record,
              ...(subscriber.database === undefined ? {} : { database: subscriber.database }),
            },
            subscriber.topic,
            subscriber.handler,
          );
    if (consumption.status === "ack") {
      await consumption.afterwards?.();
      return ACK;
    }
    const { retries = DEFAULT_RETRIES } = record.send;
    if (consumption.status === "retry" && (consumption.busy || attempt <= retries)) {
      const { reason, afterMillis, busy } = consumption;
      return {
        status: "retry",
        reason,
        ...(afterMillis === undefined ? {} : { afterMillis }),
        ...(busy ? { untried: true } : {}),
      };
    }
    return await buryDelivery(core, delivery, consumption.reason);
  } catch (error) {
    core.emit({ type: "background", error });
    return { status: "retry", reason: "the inbox or the log was out of reach", untried: true };
  }
}

/**
 * Records a delivery that will not be tried again among the dead letters, unless its subscriber has done it after all.
 * Idempotent, and never rejects: what could not be recorded stays in the channel.
 */
export async function buryDelivery(core: Core, delivery: ChannelDelivery, reason: string): Promise<Disposition> {
  const { destination: url, body, meta } = delivery;
  try {
    const recorded = await recordFailure(core, {
      url,
      body,
      ...(meta === undefined ? {} : { meta }),
      response: reason,
    });
    return recorded === "foreign" ? ignore(core, url, "expected an envelope of ours") : ACK;
  } catch (error) {
    core.emit({ type: "background", error });
    return { status: "retry", reason: "the dead letter could not be recorded", untried: true };
  }
}

/** What is not a message of this library cannot be handed to anybody, and would come back for ever. */
export function ignore(core: Core, path: string, reason: string): Disposition {
  core.emit({ type: "rejected", path, status: 400, reason: `envelope: ${reason}` });
  return ACK;
}
