import { ConfigurationError } from "../../src/errors.ts";
import type { ConfigurationProblem } from "../../src/errors.ts";
import type { ChannelAddress } from "../../src/model/destination.ts";
import { DURATION_FORM, parseDuration } from "../../src/model/duration.ts";
import type { Duration } from "../../src/model/duration.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { StreamClient } from "./clients.ts";
import { workerClock } from "./clock.ts";
import { DEFAULT_NAMESPACE, isNamespace, streamAddress } from "./keys.ts";

/** How a worker fetches messages. */
export interface PullOptions<Env = unknown> {
  /** What it fetches: the destination that the routes name, as in `stream:orders/receipt`. */
  readonly from: string;
  /** The environment that handlers are given, where the configuration takes one. */
  readonly env?: Env;
  /** The namespace of the transport. @default DEFAULT_NAMESPACE */
  readonly namespace?: string;
  /** The name of this worker, unique among all that fetch the same. @default a random one */
  readonly worker?: string;
  /** How many messages it has in its hands at most, and works on at once, 1 to 200. @default DEFAULT_BATCH */
  readonly batch?: number;
  /**
   * How long a message stays with a worker that gives no sign of life, before another takes it; at least 3 seconds. It
   * begins anew for as long as a handler runs, so that no handler need be shorter.
   *
   * @default DEFAULT_VISIBILITY
   */
  readonly visibility?: Duration;
  /** The longest wait between two looks at an empty stream, where there is no `blocking`. @default DEFAULT_POLL */
  readonly poll?: Duration;
  /**
   * A TCP connection of its own, on which `run` and `messages` wait for what is new: what blocks keeps other commands of its
   * connection waiting. Over HTTP there is none.
   */
  readonly blocking?: StreamClient;
  /** The wait before a message is tried again where its handler asked for none, by the attempt that failed. @default defaultRetryDelay */
  readonly retryDelay?: (attempt: number) => Duration;
  /** Tells the time, and waits. @default the system's */
  readonly clock?: Clock;
}

/** How many messages a worker has in its hands at most. */
export const DEFAULT_BATCH = 10;
/** How long a message stays with a worker that gives no sign of life. */
export const DEFAULT_VISIBILITY = "60s";
/** The longest wait between two looks at an empty stream. */
export const DEFAULT_POLL = "10s";

/** Ten seconds, doubled with each attempt, up to an hour. */
export function defaultRetryDelay(attempt: number): Duration {
  return Math.min(3_600_000, 10_000 * 2 ** Math.min(attempt - 1, 20));
}

/** Upstash lets a consumer have 1,000. */
const MAX_BATCH = 200;
const MIN_VISIBILITY_MILLIS = 3_000;
const WORKER = /^[\w.:@-]{1,128}$/;

/** The options, resolved. */
export interface PullSettings {
  readonly destination: string;
  readonly address: ChannelAddress;
  readonly namespace: string;
  readonly worker: string;
  readonly batch: number;
  readonly visibilityMillis: number;
  readonly pollMillis: number;
  readonly retryMillis: (attempt: number) => number;
  readonly clock: Clock;
}

/**
 * Checks the options.
 *
 * @throws {ConfigurationError} with every problem at once.
 */
export function pullSettings<Env>(options: PullOptions<Env>): PullSettings {
  const problems: ConfigurationProblem[] = [];
  const refuse = (name: string, expected: string, found: unknown, remedy: string): void => {
    problems.push({ path: `pull.${name}`, expected, found: JSON.stringify(found).slice(0, 200), remedy });
  };
  const { from, namespace = DEFAULT_NAMESPACE, batch = DEFAULT_BATCH, retryDelay = defaultRetryDelay } = options;
  const { worker = `worker-${globalThis.crypto.randomUUID()}`, clock = workerClock } = options;
  const address = streamAddress(from);
  if (address === undefined)
    refuse("from", "a destination such as stream:orders/receipt", from, "Write what the routes name.");
  if (!isNamespace(namespace))
    refuse("namespace", "1 to 64 letters, digits, '_', '.' or '-'", namespace, "Write what the transport has.");
  if (!WORKER.test(worker))
    refuse(
      "worker",
      "1 to 128 letters, digits or any of _ . : @ -",
      worker,
      "Name it after its process, or leave it out.",
    );
  if (!(Number.isInteger(batch) && batch >= 1 && batch <= MAX_BATCH))
    refuse("batch", `a whole number from 1 to ${MAX_BATCH}`, batch, `Leave it out for ${DEFAULT_BATCH}.`);
  const visibilityMillis = parseDuration(options.visibility ?? DEFAULT_VISIBILITY) ?? 0;
  if (visibilityMillis < MIN_VISIBILITY_MILLIS)
    refuse(
      "visibility",
      `${DURATION_FORM}, at least 3s`,
      options.visibility,
      `Leave it out for ${DEFAULT_VISIBILITY}.`,
    );
  const pollMillis = parseDuration(options.poll ?? DEFAULT_POLL) ?? 0;
  if (pollMillis < 1) refuse("poll", DURATION_FORM, options.poll, `Leave it out for ${DEFAULT_POLL}.`);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return {
    destination: from,
    address: address!,
    namespace,
    worker,
    batch,
    visibilityMillis,
    pollMillis,
    retryMillis: (attempt) => parseDuration(retryDelay(attempt)) ?? 0,
    clock,
  };
}
