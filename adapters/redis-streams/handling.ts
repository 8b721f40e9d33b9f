import type { ChannelDelivery, Disposition, Subscriber } from "../../src/core/receive.ts";
import type { Subscribers } from "../../src/middleware/subscriber.ts";
import { decodeText } from "./entry.ts";
import type { FoundDelivery } from "./entry.ts";
import type { Held } from "./holding.ts";
import type { PullSettings } from "./settings.ts";
import type { Settling } from "./settling.ts";
import type { Taking } from "./taking.ts";

/** How often a message may be handed out beyond its attempts: to workers that another message ended, or that never got it. */
const SPARE_DELIVERIES = 2;
/** The wait for what only another release can read, in milliseconds. */
const PATIENCE_MILLIS = 60_000;

/** What is done with messages in hand. */
export interface Handling {
  /** Hands a message to its subscriber, or to a substitute, and lets it go accordingly. */
  handle(held: Held, substitute?: Subscriber): Promise<Disposition>;
  /** What a message in hand says, where it can be handed to anybody; otherwise it is let go. */
  open(held: Held): Promise<ChannelDelivery | undefined>;
  /** Puts a message back that nobody has tried. */
  release(held: Held): Promise<void>;
}

/** Joins a stream to the core: what comes out of it goes through the inbox, the retry budget and the dead letters. */
export function handling(
  subscribers: Subscribers,
  parts: { readonly taking: Taking; readonly settling: Settling; readonly settings: PullSettings },
): Handling {
  const { taking, settling, settings } = parts;

  const letGo = async (held: Held, disposition: Disposition): Promise<Disposition> => {
    if (disposition.status === "ack") settling.acknowledge(held);
    else {
      const used = held.attempt - (disposition.untried === true ? 1 : 0);
      const waitMillis = disposition.afterMillis ?? settings.retryMillis(Math.max(1, used));
      await settling.putBack(held, { used, waitMillis });
      taking.dueIn(waitMillis);
    }
    return disposition;
  };

  /** What is to become of a message that is handed to nobody. */
  const refusal = async (held: Held, found: FoundDelivery): Promise<Disposition | undefined> => {
    if (found.status === "foreign") return subscribers.ignore(settings.destination, found.reason);
    if (found.status === "undecodable")
      return { status: "retry", reason: found.reason, afterMillis: PATIENCE_MILLIS, untried: true };
    if (held.attempt <= found.retries + 1 + SPARE_DELIVERIES) return undefined;
    return subscribers.bury(deliveryOf(found, held), `handed out ${held.attempt - 1} times, and never let go`);
  };

  return {
    async handle(held, substitute) {
      const found = decodeText(held.entry, settings.destination);
      const refused = await refusal(held, found);
      if (refused !== undefined || found.status !== "delivery") return letGo(held, refused!);
      return letGo(held, await subscribers.deliver(deliveryOf(found, held), substitute));
    },
    async open(held) {
      const found = decodeText(held.entry, settings.destination);
      const refused = await refusal(held, found);
      if (refused === undefined && found.status === "delivery") return deliveryOf(found, held);
      await letGo(held, refused!);
      return undefined;
    },
    async release(held) {
      await settling.putBack(held, { used: held.attempt - 1, waitMillis: 0 });
    },
  };
}

function deliveryOf(found: Extract<FoundDelivery, { status: "delivery" }>, { attempt }: Held): ChannelDelivery {
  const { destination, meta, body } = found;
  return { destination, meta, body, attempt };
}
