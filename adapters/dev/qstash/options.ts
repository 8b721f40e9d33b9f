import type { Faults } from "./api.ts";
import type { Fetch } from "./attempt.ts";
import type { AllowDestination } from "./destination.ts";
import type { QStashEvent } from "./event-log.ts";
import type { SetTimer } from "./time.ts";

/** Deliveries in flight at a time: the free plan's limit. */
export const DEFAULT_MAX_CONCURRENCY = 10;
/** The most retries that a message may ask for. */
export const DEFAULT_RETRIES_LIMIT = 5;
/** The largest message, 1 MB: the free plan's limit. */
export const DEFAULT_MAX_MESSAGE_BYTES: number = 1024 * 1024;
/** How long a deduplication id is remembered: 10 minutes. */
export const DEFAULT_DEDUPLICATION_WINDOW_MILLIS: number = 10 * 60_000;
/** Log entries that are kept. */
export const DEFAULT_MAX_EVENTS = 100_000;

/** The public credentials that the QStash SDK uses in its development mode; they protect nothing. */
export const DEV_CREDENTIALS: {
  readonly token: string;
  readonly currentSigningKey: string;
  readonly nextSigningKey: string;
} = {
  token: "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=",
  currentSigningKey: "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
  nextSigningKey: "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
};

/** What can be changed about an embedded QStash; all of it is optional. */
export interface QStashOptions {
  /**
   * The token that requests must carry.
   *
   * @default a random one
   */
  readonly token?: string;
  /**
   * The key that signs deliveries.
   *
   * @default a random one
   */
  readonly currentSigningKey?: string;
  /**
   * The key that signs after a rotation.
   *
   * @default a random one
   */
  readonly nextSigningKey?: string;
  /**
   * Uses the SDK's public development credentials, so that a client in development mode (`QSTASH_DEV=true`) finds
   * this server. Credentials that are given win.
   *
   * @default false
   */
  readonly devDefaults?: boolean;
  /**
   * The clock, in milliseconds since the epoch.
   *
   * @default Date.now
   */
  readonly now?: () => number;
  /**
   * The timer that every wait uses.
   *
   * @default the platform's
   */
  readonly setTimer?: SetTimer;
  /**
   * Multiplies every wait: back-off, delays, `Retry-After`, schedules, rate periods. 0.01 makes an hour 36 seconds.
   * Timeouts and the deduplication window keep their length.
   *
   * @default 1
   */
  readonly timeFactor?: number;
  /**
   * Makes the deliveries.
   *
   * @default the platform's `fetch`
   */
  readonly fetch?: Fetch;
  /**
   * Deliveries in flight at a time.
   *
   * @default DEFAULT_MAX_CONCURRENCY
   */
  readonly maxConcurrency?: number;
  /**
   * The share of delivered messages that are delivered once more: at-least-once delivery, made visible.
   *
   * @default 0
   */
  readonly duplicateRate?: number;
  /**
   * Decides which messages are duplicated; a number from 0 to 1.
   *
   * @default Math.random
   */
  readonly random?: () => number;
  /**
   * Messages that ask for more retries are refused with 412.
   *
   * @default DEFAULT_RETRIES_LIMIT
   */
  readonly retriesLimit?: number;
  /**
   * Larger messages are refused, larger responses are cut off.
   *
   * @default DEFAULT_MAX_MESSAGE_BYTES
   */
  readonly maxMessageBytes?: number;
  /**
   * How long a deduplication id is remembered.
   *
   * @default DEFAULT_DEDUPLICATION_WINDOW_MILLIS
   */
  readonly deduplicationWindowMillis?: number;
  /**
   * Which URLs may be called; the calls are made from this machine.
   *
   * @default loopbackOnly
   */
  readonly allowDestinations?: AllowDestination;
  /**
   * Log entries that are kept.
   *
   * @default DEFAULT_MAX_EVENTS
   */
  readonly maxEvents?: number;
  /**
   * Injects faults into API requests.
   *
   * @default none
   */
  readonly faults?: Faults;
  /**
   * Called for each entry of the log, as it is written.
   *
   * @default nothing
   */
  readonly onEvent?: (event: QStashEvent) => void;
}
