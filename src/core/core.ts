import { ConfigurationError } from "../errors.ts";
import { transactionIdAt } from "../model/ids.ts";
import type { DatabaseSource } from "../ports/database.ts";
import type { Clock } from "../ports/clock.ts";
import type { Crypto, MaybePromise } from "../ports/crypto.ts";
import type { DirectCalls } from "../ports/direct-calls.ts";
import type { Inbox, InboxReader } from "../ports/inbox.ts";
import type { LogStore } from "../ports/log-store.ts";
import type { Event } from "../ports/observer.ts";
import type { PayloadCodec } from "../ports/payload-codec.ts";
import type { Transport } from "../ports/transport.ts";
import type { CheckAnswer } from "../model/states.ts";
import type { Settings } from "./settings.ts";

/** Asks the business data for the outcome of a transaction; what it throws is no answer. */
export type Check = (transactionId: string) => MaybePromise<CheckAnswer>;

/** A resolved destination of a topic. */
export interface Route {
  readonly url: string;
  readonly hash: string;
}

/** All that the steps of the protocol share: the ports, the settings, and who is called for what. */
export interface Core {
  readonly clock: Clock;
  readonly crypto: Crypto;
  /** Tells the observer; never throws. */
  readonly emit: (event: Event) => void;
  readonly settings: Settings;
  readonly store: LogStore | undefined;
  readonly transport: Transport | undefined;
  readonly inbox: Inbox | undefined;
  /** Encrypts data, or keeps them elsewhere. */
  readonly payloads: PayloadCodec | undefined;
  /** The business databases whose rows decide, by name. */
  readonly databases: ReadonlyMap<string, DatabaseSource>;
  /** The destinations of a topic, resolved and hashed once. */
  readonly routes: (topic: string) => Promise<readonly Route[]>;
  readonly checks: Readonly<Record<string, Check>>;
  /** How participants are called directly, where they are. */
  readonly calls: DirectCalls | undefined;
  /** The names that consumers of this process gave themselves, by the URL they are mounted at. */
  readonly consumerNames: Map<string, string>;
  /** Arms the watchdog, where there is one. */
  readonly armWatchdog: () => Promise<void>;
  /** When this process last audited, in milliseconds since 1970, and the mark that the log bore then. */
  readonly audit: { lastAt: number; mark?: string };
}

/** The log, where there must be one: what needs it is refused at start without it. */
export function logOf({ store }: Pick<Core, "store">): LogStore {
  if (store !== undefined) return store;
  throw new ConfigurationError([
    {
      path: "log",
      expected: "where half messages are kept",
      found: "nothing",
      remedy: "Pass upstashRedis(…) or redis(…), or declare a database: ac.transaction({ database }).",
    },
  ]);
}

/** The inboxes that can be looked into: the one that consumers of this service use, and the one in the log's store. */
export function readableInboxes({ inbox, store }: Pick<Core, "inbox" | "store">): readonly InboxReader[] {
  const own = inbox !== undefined && "look" in inbox ? [inbox as Inbox & InboxReader] : [];
  return store === undefined || inbox === store.inbox ? own : [...own, store.inbox];
}

/** A new transaction id in the part of the store where `id` lies: drawn until it is; 1 draw for an unsharded store. */
export function transactionIdBeside(core: Pick<Core, "clock" | "crypto">, store: LogStore, id: string): string {
  const shard = store.shardOf(id);
  for (;;) {
    const drawn = transactionIdAt(core.clock.now(), core.crypto);
    if (store.shardOf(drawn) === shard) return drawn;
  }
}
