import type { Message } from "../core/consume.ts";
import type { Databases } from "../core/database-types.ts";
import { buryDelivery, ignore, receive } from "../core/receive.ts";
import type { ChannelDelivery, Disposition, Subscriber } from "../core/receive.ts";
import { ConfigurationError } from "../errors.ts";
import { addressOf, isSubscriberName } from "../model/destination.ts";
import type { Topic } from "../model/topic.ts";
import type { Service } from "./configuration.ts";

/** How one subscriber differs from the others. */
export interface SubscriberOptions<All extends Databases = Databases> {
  /** The database of `message.run` and `message.batch`, where the subscriber's effect happens once. @default `inbox`, where that names one */
  readonly database?: keyof All & string;
}

/** What runs for each message; what it returns is kept as the outcome that duplicates are answered with. */
export type SubscriberHandler<Data, Env = unknown, All extends Databases = Databases> = (
  message: Message<Data, All>,
  env: Env,
) => unknown;

/** For adapters of transports that call no URL: where they hand over what came out of a channel. */
export interface Subscribers {
  /**
   * Hands a delivery to its subscriber, or to the one that stands in for it under the same name, and buries what no retry
   * can help. Never rejects.
   */
  deliver(delivery: ChannelDelivery, substitute?: Subscriber): Promise<Disposition>;
  /** Buries what the transport has given up, unless it was done after all. Idempotent; never rejects. */
  bury(delivery: ChannelDelivery, reason: string): Promise<Disposition>;
  /** Tells of something in a channel that is no delivery of this library; it is to be taken out. */
  ignore(channel: string, reason: string): Disposition;
  /** Tells the observer of trouble with the channel itself. */
  trouble(error: unknown): void;
}

/** A declared subscriber, whatever the environment. */
export interface DeclaredSubscriber {
  readonly topic: Topic;
  readonly handler: SubscriberHandler<unknown>;
  readonly options: SubscriberOptions;
}

/** Remembers a subscriber under its name. */
export function declareSubscriber(
  declared: Map<string, DeclaredSubscriber>,
  name: string,
  subscriber: DeclaredSubscriber,
): void {
  if (!isSubscriberName(name) || declared.has(name)) {
    throw new ConfigurationError([
      {
        path: "subscriber.name",
        expected: "a name of letters, digits, '_', '.' and '-', 1 to 128 long, that no other subscriber has",
        found: JSON.stringify(name.slice(0, 200)),
        remedy: "Name each subscriber after what it does; the inbox keeps them apart by it.",
      },
    ]);
  }
  declared.set(name, subscriber);
}

/** The subscribers of a service, for its transports; `env` is what their handlers are given. */
export function subscribersOf(
  { core, inboxDatabase }: Service,
  declared: ReadonlyMap<string, DeclaredSubscriber>,
  env: unknown,
): Subscribers {
  if (core.inbox === undefined) {
    throw new ConfigurationError([
      {
        path: "inbox",
        expected: "where consumed messages are remembered",
        found: "nothing",
        remedy: "Pass upstashRedis(…), redis(…), or the name of a database.",
      },
    ]);
  }
  const subscribers = new Map<string, Subscriber>();
  for (const [name, { topic, handler, options }] of declared) {
    const database = options.database ?? inboxDatabase;
    subscribers.set(name, { topic, database, handler: (message) => handler(message, env) });
  }
  return {
    deliver(delivery, substitute) {
      const name = substitute === undefined ? undefined : addressOf(delivery.destination)?.subscriber;
      return receive(core, name === undefined ? subscribers : new Map([[name, substitute!]]), delivery);
    },
    bury: (delivery, reason) => buryDelivery(core, delivery, reason),
    ignore: (channel, reason) => ignore(core, channel, reason),
    trouble: (error) => core.emit({ type: "background", error }),
  };
}
