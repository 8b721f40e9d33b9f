import type { Databases } from "../../src/core/database-types.ts";
import type { Aftercommit } from "../../src/middleware/aftercommit.ts";
import type { Topic } from "../../src/model/topic.ts";
import { streamExecutor } from "./clients.ts";
import type { StreamClient } from "./clients.ts";
import { handling } from "./handling.ts";
import { holding } from "./holding.ts";
import type { Held } from "./holding.ts";
import { pulledMessage } from "./messages.ts";
import type { PulledMessage } from "./messages.ts";
import { pullSettings } from "./settings.ts";
import type { PullOptions } from "./settings.ts";
import { settling } from "./settling.ts";
import { subscriberStream } from "./stream.ts";
import type { Backlog } from "./stream.ts";
import { taking } from "./taking.ts";
import { waits } from "./waits.ts";

/** What one fetch came to. */
export interface PullReport {
  /** How many messages were fetched. */
  readonly taken: number;
  /** How many are out of the stream now: done, done before, or buried. */
  readonly acknowledged: number;
  /** How many were put back, to be tried again. */
  readonly putBack: number;
}

/** How long a worker goes on. */
export interface RunOptions {
  /** Ends it: what is being handled is brought to its end, what has not begun is put back. */
  readonly signal?: AbortSignal;
}

/** A worker that fetches one subscriber's messages. */
export interface Puller<All extends Databases = Databases> {
  /** The worker's name. */
  readonly worker: string;
  /** Fetches what is there, at most a batch, hands it to the subscriber, and waits until all of it is done or put back. For a cron job. */
  pull(): Promise<PullReport>;
  /** Fetches and handles messages until it is told to end. Trouble with Redis is told to the observer, and lasts no longer than itself. */
  run(options: RunOptions & { readonly signal: AbortSignal }): Promise<void>;
  /**
   * The messages of a topic one by one, for those who decide themselves what becomes of each, and when. No more than a batch
   * is in hand: the loop waits until one has been let go, or has lapsed.
   */
  messages<Input, Data>(
    topic: Topic<Input, Data>,
    options?: RunOptions,
  ): AsyncGenerator<PulledMessage<Data, All>, void, undefined>;
  /** How much waits for the subscriber. */
  backlog(): Promise<Backlog>;
}

/**
 * Makes a worker that fetches messages from a stream, with the same inbox, retries and dead letters as those that are pushed.
 * Several may fetch the same; each message is in one worker's hands at a time, and what a worker leaves behind that gives no
 * sign of life is another's after the visibility time. Exactly who may run a handler is the inbox's to say, as ever.
 *
 * @throws {ConfigurationError} where the service cannot consume, or an option is wrong.
 * @example
 * ```ts
 * ac.subscribe(orderPaid, "receipt", async (message) => { await sendReceipt(message.data); });
 * const puller = pull(ac, redis, { from: "stream:orders/receipt" });
 * await puller.run({ signal });
 * ```
 */
export function pull<Env, All extends Databases>(
  ac: Aftercommit<Env, All>,
  client: StreamClient,
  options: PullOptions<Env>,
): Puller<All> {
  const settings = pullSettings(options);
  const subscribers = ac.subscribers(options.env);
  const { batch, worker } = settings;
  const trouble = (error: unknown): void => subscribers.trouble(error);
  const blocking = options.blocking && streamExecutor(options.blocking);
  const stream = subscriberStream(streamExecutor(client), settings.namespace, settings.address, blocking);
  const held = holding(stream, settings, trouble);
  const taken = taking(stream, held, settings);
  const settled = settling(stream, held, settings, trouble);
  const handled = handling(subscribers, { taking: taken, settling: settled, settings });

  const release = async (some: readonly Held[]): Promise<void> => {
    for (const result of await Promise.allSettled(some.map((one) => handled.release(one)))) {
      // Another worker takes it when its visibility time is over.
      if (result.status === "rejected") trouble(result.reason);
    }
  };
  const leave = async (): Promise<void> => {
    await settled.flush();
    await stream.leave(worker).catch(trouble);
  };
  const waiting = () => waits(taken, settings, blocking !== undefined);

  return {
    worker,

    async pull() {
      const some = await taken.take(batch);
      const results = await Promise.allSettled(some.map((one) => handled.handle(one)));
      await settled.flush();
      let putBack = 0;
      for (const result of results) {
        if (result.status === "rejected") throw result.reason;
        if (result.value.status === "retry") putBack++;
      }
      return { taken: some.length, acknowledged: some.length - putBack, putBack };
    },

    async run({ signal }) {
      const wait = waiting();
      const flying = new Set<Promise<void>>();
      while (!signal.aborted) {
        const free = batch - held.size;
        if (free <= 0) {
          await held.next();
          continue;
        }
        try {
          const some = await wait.take(free, signal);
          if (signal.aborted) {
            await release(some);
            break;
          }
          for (const one of some) {
            const flight: Promise<void> = handled
              .handle(one)
              .then(() => undefined, trouble)
              .finally(() => flying.delete(flight));
            flying.add(flight);
          }
        } catch (error) {
          trouble(error);
          await wait.out(signal);
        }
      }
      await Promise.all(flying);
      await leave();
    },

    async *messages<Input, Data>(topic: Topic<Input, Data>, { signal = NEVER }: RunOptions = {}) {
      const wait = waiting();
      const parts = { handling: handled, holding: held, settling: settled, settings };
      let some: Held[] = [];
      try {
        while (!signal.aborted) {
          const [first, ...rest] = some;
          if (first !== undefined) {
            some = rest;
            const delivery = await handled.open(first);
            const message = delivery && (await pulledMessage(first, delivery, topic as Topic<unknown, Data>, parts));
            if (message !== undefined) yield message as unknown as PulledMessage<Data, All>;
            continue;
          }
          const free = batch - held.size;
          if (free <= 0) {
            await aborted(signal, held.next());
            continue;
          }
          try {
            some = [...(await wait.take(free, signal))];
          } catch (error) {
            trouble(error);
            await wait.out(signal);
          }
        }
      } finally {
        await release(some);
        await leave();
      }
    },

    backlog: () => stream.backlog(),
  };
}

const NEVER: AbortSignal = new AbortController().signal;

/** Resolves with a promise, or when a signal aborts. */
async function aborted(signal: AbortSignal, promise: Promise<void>): Promise<void> {
  const settled = new AbortController();
  const abort = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true, signal: settled.signal });
  });
  await Promise.race([promise, abort]);
  settled.abort();
}
