import type { Check } from "../core/core.ts";
import type { Databases } from "../core/database-types.ts";
import type { Duration } from "../model/duration.ts";
import type { Clock } from "../ports/clock.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { DirectCalls } from "../ports/direct-calls.ts";
import type { Inbox } from "../ports/inbox.ts";
import type { LogStore } from "../ports/log-store.ts";
import type { Observer } from "../ports/observer.ts";
import type { PayloadCodec } from "../ports/payload-codec.ts";
import type { Receiver } from "../ports/receiver.ts";
import type { Transport } from "../ports/transport.ts";

/**
 * What a service configures. One that only produces needs `log` (or `databases`), `transport` and `routes`; one that only consumes needs
 * `publicUrl`, `receiver` and `inbox`; one that does both needs `publicUrl`, `log`, `transport` and `routes`.
 */
export interface AftercommitOptions<All extends Databases = Databases> {
  /** The URL under which the transport reaches this service: scheme, host and base path. Never taken from a request. */
  readonly publicUrl?: string | undefined;
  /** Who sends, the same across releases. @default publicUrl, else "aftercommit" */
  readonly source?: string | undefined;
  /** Allows http, loopback destinations and the transport's public dev keys, if `publicUrl` is on this machine. @default false */
  readonly dev?: boolean | undefined;
  /** Where half messages and decisions are kept; its inbox is used too, unless `inbox` names another. */
  readonly log?: LogStore | undefined;
  /**
   * Where consumed messages are remembered: an inbox, a whole store where the producer's log is the same one, or the name of
   * a database in `databases`, which is then the database of every consumer that does not name another.
   */
  readonly inbox?: Inbox | LogStore | string | undefined;
  /**
   * The business databases whose own commit can decide transactions, by the name that `transaction({ database })` and
   * `tx.run` use; or functions that open one for each use, where a connection cannot outlive a request.
   */
  readonly databases?: All | undefined;
  /** What carries messages. */
  readonly transport?: Transport | undefined;
  /** Encrypts data, or keeps large ones elsewhere: `payloads(…)` of `aftercommit/payloads`. @default data travel as they are */
  readonly payloads?: PayloadCodec | undefined;
  /** Verifies deliveries. @default the transport's own */
  readonly receiver?: Receiver | undefined;
  /** Where the messages of each topic go: paths of this service, or absolute URLs. */
  readonly routes?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** How participants and the steps of sagas are called directly, and who may call ours: `directCalls({ secrets })`. */
  readonly calls?: DirectCalls | undefined;
  /** Asks the business data for the outcome of a transaction, by the name that `transaction({ check })` uses. */
  readonly checks?: Readonly<Record<string, Check>> | undefined;
  /** How what crashes leave behind is found and finished. */
  readonly recovery?: RecoveryOptions | undefined;
  /** How consumers run, unless one says otherwise. */
  readonly consumers?: ConsumerDefaults | undefined;
  /** Where and for whom the operator's routes are. */
  readonly operations?: OperationsOptions | undefined;
  /** The largest message, in bytes. @default DEFAULT_MAX_MESSAGE_BYTES */
  readonly maxMessageBytes?: number | undefined;
  /** How long one call of the log or the inbox may take. @default "3s" */
  readonly storeTimeout?: Duration | undefined;
  /** How long one transaction of our own on a business database may take. @default "10s" */
  readonly databaseTimeout?: Duration | undefined;
  /** How long one call of the transport or of a payload store, or one of a check, may take. @default "10s" */
  readonly transportTimeout?: Duration | undefined;
  /** Told of everything that happens. @default consoleObserver() */
  readonly observer?: Observer | undefined;
  /** Tells the time, and waits. @default the system's */
  readonly clock?: Clock | undefined;
  /** Digests, signatures and randomness. @default WebCrypto */
  readonly crypto?: Crypto | undefined;
}

/** How what crashes leave behind is found and finished. */
export interface RecoveryOptions {
  /** How long after its preparation an undecided half message is looked into. Longer than the longest request. @default "2m" */
  readonly deadline?: Duration;
  /** The longest that a request may take. @default "1m" */
  readonly longestRequest?: Duration;
  /** Calls the sweep route by delayed messages of this width, for apps without any cron. @default none */
  readonly watchdog?: Duration;
  /** How often a check without a verdict is asked before the transaction is held for a person. @default 12 */
  readonly checkAttempts?: number;
  /** The space between the two "rolled back" answers that a check must give while the handler may still run. @default "30s" */
  readonly checkSpacing?: Duration;
  /** How long after it was sent a delivery's arrival is looked for in the transport's event log; later looks are further apart. @default "5m" */
  readonly confirmAfter?: Duration;
  /** How long a sweep owns what it has claimed: if it dies, another one goes on then. @default "1m" */
  readonly sweepLease?: Duration;
  /** How long the transport may go on retrying. @default "2d" */
  readonly retryHorizon?: Duration;
  /** How long a dead letter may be redriven under its own message id. @default "30d" */
  readonly redriveWithin?: Duration;
  /** How long decisions are kept. @default retryHorizon + redriveWithin + 1 day */
  readonly decisionRetention?: Duration;
  /** The least time between two audits by one process. @default "10m" */
  readonly auditEvery?: Duration;
}

/** How consumers run, unless one says otherwise. */
export interface ConsumerDefaults {
  /** How long a run owns its message between two renewals. @default "30s" */
  readonly lease?: Duration;
  /** How often the lease of a running handler is renewed; at most a third of the lease. @default "10s" */
  readonly renewEvery?: Duration;
  /** How long a consumed message is remembered. @default retryHorizon + redriveWithin + 1 day */
  readonly retention?: Duration;
  /** The largest body that is read, in bytes. @default DEFAULT_BODY_LIMIT_BYTES */
  readonly bodyLimit?: number;
}

/** Where and for whom the operator's routes are. */
export interface OperationsOptions {
  /** The path that `ac.operations()` is mounted at. @default "/_aftercommit" */
  readonly path?: string;
  /** The token that people and cron jobs call the routes with, at least 32 characters. Without it only signed calls are taken. */
  readonly bearer?: string | undefined;
}

/** QStash's limit on its smallest plan, less what the envelope's stamp adds. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1_000_000;
/** Enough for the largest message and its envelope. */
export const DEFAULT_BODY_LIMIT_BYTES = 1_048_576;
/** Where the operator's routes are. */
export const DEFAULT_OPERATIONS_PATH = "/_aftercommit";
