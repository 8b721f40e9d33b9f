import { createApi } from "./api.ts";
import { createCancellation } from "./cancellation.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { createDeduplication } from "./deduplication.ts";
import { createDelivery } from "./delivery.ts";
import { loopbackOnly } from "./destination.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";
import { createEventLog } from "./event-log.ts";
import { createFlowControl } from "./flow-control.ts";
import { randomId } from "./ids.ts";
import type { Message } from "./message.ts";
import {
  DEFAULT_DEDUPLICATION_WINDOW_MILLIS,
  DEFAULT_MAX_CONCURRENCY,
  DEFAULT_MAX_EVENTS,
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_RETRIES_LIMIT,
  DEV_CREDENTIALS,
  type QStashOptions,
} from "./options.ts";
import { createPublisher } from "./publisher.ts";
import { createQueues } from "./queues.ts";
import { createSchedules } from "./schedules.ts";
import { createKeyRing, type SigningKeys } from "./signing-keys.ts";
import { createStats, type Stats } from "./stats.ts";
import { createTime, systemTimer } from "./time.ts";
import { createUrlGroups } from "./url-groups.ts";

/** An embedded QStash: publishes, delivers, retries and buries messages within this process. */
export interface QStash {
  /** The token that requests must carry. */
  readonly token: string;
  /** The signing keys as they are now. */
  readonly signingKeys: () => SigningKeys;
  /** The REST API. Rejects with `ReplyLostError` where an injected fault drops the reply. */
  readonly fetch: (request: Request) => Promise<Response>;
  /**
   * Resolves when no delivery is in flight and none is due right now. Messages that wait for their time, for a retry,
   * for a paused queue or for flow control do not count.
   */
  readonly idle: () => Promise<void>;
  /** Counts since the start. */
  readonly stats: () => Stats;
  /** Aborts what is in flight, forgets what is pending, and resolves when nothing runs any more. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts an embedded QStash. It behaves as the service is documented and holds everything in memory; the unmodified
 * `@upstash/qstash` client drives it, given a server that hands it the requests.
 *
 * @example
 * ```ts
 * import { createQStash } from "aftercommit/dev";
 *
 * const qstash = createQStash({ token: "secret", timeFactor: 0.001 });
 * await qstash.fetch(
 *   new Request("http://qstash/v2/publish/http://127.0.0.1:3000/hook", {
 *     method: "POST",
 *     headers: { Authorization: "Bearer secret" },
 *     body: "hello",
 *   }),
 * );
 * await qstash.idle();
 * ```
 */
export function createQStash(options: QStashOptions = {}): QStash {
  const {
    devDefaults = false,
    now = Date.now,
    setTimer = systemTimer,
    timeFactor = 1,
    maxConcurrency = DEFAULT_MAX_CONCURRENCY,
    maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES,
    retriesLimit = DEFAULT_RETRIES_LIMIT,
    allowDestinations = loopbackOnly,
    duplicateRate = 0,
  } = options;
  const defaults: Partial<typeof DEV_CREDENTIALS> = devDefaults ? DEV_CREDENTIALS : {};
  const token = options.token ?? defaults.token ?? randomId("tok");
  const keys = createKeyRing({
    current: options.currentSigningKey ?? defaults.currentSigningKey,
    next: options.nextSigningKey ?? defaults.nextSigningKey,
  });

  const stopping = new AbortController();
  const time = createTime({ now, setTimer, timeFactor });
  const stats = createStats();
  const log = createEventLog({
    now,
    maxEntries: options.maxEvents ?? DEFAULT_MAX_EVENTS,
    onEvent: options.onEvent ?? (() => {}),
  });
  const deadLetters = createDeadLetters(now);
  const urlGroups = createUrlGroups(now, allowDestinations);
  const queues = createQueues(now);
  const flowControl = createFlowControl({ time, release: (job) => dispatcher.wakeJob(job) });
  const rules = { retriesLimit, allowDestinations, now };
  const publisher = createPublisher({
    ...rules,
    time,
    urlGroups,
    deduplication: createDeduplication(now, options.deduplicationWindowMillis ?? DEFAULT_DEDUPLICATION_WINDOW_MILLIS),
    log,
    stats,
    add: (message, turn) => dispatcher.add(message, turn),
  });
  const schedules = createSchedules({ ...rules, time, publisher });
  const onSettled = (message: Message, success: boolean): void => schedules.settled(message, success);
  const deliver = createDelivery({
    fetch: options.fetch ?? fetch,
    now,
    setTimer,
    signingKey: () => keys.get().current,
    maxMessageBytes,
    stopping: stopping.signal,
    time,
    log,
    stats,
    deadLetters,
    publisher,
    onSettled,
    duplicateRate,
    random: options.random ?? Math.random,
  });
  const dispatcher: Dispatcher = createDispatcher({ time, queues, flowControl, maxConcurrency, deliver });
  const cancelMessage = createCancellation({ dispatcher, log, stats, onSettled });

  return {
    token,
    signingKeys: () => keys.get(),
    fetch: createApi({
      engine: {
        publisher,
        dispatcher,
        cancelMessage,
        queues,
        schedules,
        urlGroups,
        flowControl,
        deadLetters,
        log,
        keys,
        maxMessageBytes,
        maxConcurrency,
      },
      token,
      faults: options.faults ?? (() => undefined),
    }),
    async idle() {
      do {
        await Promise.all(schedules.firing());
        await dispatcher.idle();
      } while (schedules.firing().length > 0);
    },
    stats: () => ({ ...stats }),
    stop() {
      time.stop();
      stopping.abort(new Error("the engine stops"));
      return dispatcher.stop();
    },
  };
}
