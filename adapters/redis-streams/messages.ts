import type { Message } from "../../src/core/consume.ts";
import type { Databases } from "../../src/core/database-types.ts";
import type { ChannelDelivery, Disposition, Subscriber } from "../../src/core/receive.ts";
import { FatalError, RetryableError } from "../../src/errors.ts";
import { DURATION_FORM, parseDuration } from "../../src/model/duration.ts";
import type { Duration } from "../../src/model/duration.ts";
import { parseEnvelope } from "../../src/model/envelope.ts";
import type { Envelope } from "../../src/model/envelope.ts";
import type { Topic } from "../../src/model/topic.ts";
import type { Handling } from "./handling.ts";
import type { Held, Holding } from "./holding.ts";
import type { PullSettings } from "./settings.ts";
import type { Settling } from "./settling.ts";

/** A message in this worker's hands, for those who want to decide its pace themselves. */
export interface PulledMessage<Data = unknown, All extends Databases = Databases> {
  /** What travelled, as it is: its data have not been opened or validated. */
  readonly envelope: Envelope;
  /** From 1. */
  readonly attempt: number;
  /** Aborts when another worker has the message, or may have it. */
  readonly lost: AbortSignal;
  /**
   * Runs a handler for it, as a subscriber's: through the inbox, once at a time, with retries and dead letters. Its
   * visibility time begins anew meanwhile. The message is acknowledged or put back accordingly. Never rejects for what the
   * handler throws.
   */
  handle(handler: (message: Message<Data, All>) => unknown, options?: HandleOptions<All>): Promise<Disposition>;
  /** Says that it is done: the inbox remembers it, and it is not handed out again. */
  ack(): Promise<Disposition>;
  /** Puts it back, to be handed out after a while; an attempt is used up, and the last one makes it a dead letter. */
  retry(options?: { readonly after?: Duration; readonly reason?: string }): Promise<Disposition>;
  /** Makes it a dead letter at once. */
  bury(reason: string): Promise<Disposition>;
  /**
   * Begins its visibility time anew, and goes on to do so for as long as is said. Whether it is still this worker's; rejects
   * where that is not known.
   */
  extend(duration?: Duration): Promise<boolean>;
}

/** How one message is handled. */
export interface HandleOptions<All extends Databases = Databases> {
  /** The database of `message.run` and `message.batch`, where the effect happens once. @default `inbox`, where that names one */
  readonly database?: keyof All & string;
}

/** What a message is made of, and what lets it go. */
export interface MessageParts {
  readonly handling: Handling;
  readonly holding: Holding;
  readonly settling: Settling;
  readonly settings: PullSettings;
}

/** The message that a worker has in its hands; its visibility time runs from now on, unless it is extended or handled. */
export async function pulledMessage<Data>(
  held: Held,
  delivery: ChannelDelivery,
  topic: Topic<unknown, Data>,
  parts: MessageParts,
): Promise<PulledMessage<Data> | undefined> {
  const { handling, holding, settling, settings } = parts;
  const parsed = parseEnvelope(delivery.body);
  if ("reason" in parsed) {
    // The core tells of it, and takes it out.
    await handling.handle(held);
    return undefined;
  }
  let ended: Promise<Disposition> | undefined;
  const end = (handler: Subscriber["handler"], database?: string): Promise<Disposition> => {
    const run = async (): Promise<Disposition> => {
      holding.keep(held, Number.POSITIVE_INFINITY);
      const disposition = await handling.handle(held, { topic, handler, database });
      if (disposition.status === "ack") await settling.flush();
      return disposition;
    };
    return (ended ??= run());
  };
  const message: PulledMessage<Data> = {
    envelope: parsed.envelope,
    attempt: held.attempt,
    lost: held.lost,
    handle: (handler, { database } = {}) => end(handler as Subscriber["handler"], database),
    ack: () => end(() => undefined),
    retry({ after, reason = "put back by its worker" } = {}) {
      if (after !== undefined && parseDuration(after) === undefined) throw notADuration(after);
      return end(() => {
        throw new RetryableError(reason, after === undefined ? {} : { retryAfter: after });
      });
    },
    bury: (reason) =>
      end(() => {
        throw new FatalError(reason);
      }),
    async extend(duration = 0) {
      const millis = parseDuration(duration);
      if (millis === undefined) throw notADuration(duration);
      if (ended === undefined) holding.keep(held, settings.clock.now() + millis);
      return holding.touch(held);
    },
  };
  if (holding.age(held) > settings.visibilityMillis / 10 && !(await holding.touch(held))) return undefined;
  holding.keep(held, 0);
  return message;
}

function notADuration(found: Duration): TypeError {
  return new TypeError(`Expected ${DURATION_FORM}, found ${JSON.stringify(found)}.`);
}
