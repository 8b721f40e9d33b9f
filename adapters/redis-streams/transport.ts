import type { ConfigurationProblem } from "../../src/errors.ts";
import { utf8Length } from "../../src/model/bytes.ts";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Dispatch, DispatchResult, Transport } from "../../src/ports/transport.ts";
import { systemClock } from "../../src/system/clock.ts";
import { streamExecutor } from "./clients.ts";
import type { StreamClient } from "./clients.ts";
import { encodeText } from "./entry.ts";
import { DEFAULT_NAMESPACE, isNamespace, SCHEME, streamAddress } from "./keys.ts";
import { subscriberStream } from "./stream.ts";
import type { NewEntry } from "./stream.ts";

/** Options of {@link redisStreams}. */
export interface RedisStreamsOptions {
  /** The names of the channels: what `routes` may write between `stream:` and the subscriber. */
  readonly channels: readonly string[];
  /** Keeps several deployments on one Redis apart; the workers name the same. @default DEFAULT_NAMESPACE */
  readonly namespace?: string;
  /** Tells how long a delayed message waits. @default the system's */
  readonly clock?: Clock;
}

/** How much goes out in one script: Upstash takes 10 MB in a request. */
const MAX_BATCH_ENTRIES = 100;
const MAX_BATCH_BYTES = 4_000_000;
const MAX_REASON = 300;
const CHANNEL = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/**
 * Carries messages by Redis Streams, for workers that fetch them: `stream:orders/receipt` is the channel `orders`, and the
 * subscriber `receipt` in whichever process calls {@link pull} for it. Each subscriber has a stream of its own.
 *
 * A delivery that is still outstanding is recognised when it is published again; one that was done and acknowledged is not:
 * the inbox stops it. Nothing has a time to live, and nothing is trimmed: an entry goes when its delivery is done or buried.
 * What Redis loses is sent again from where it is kept, the log or a barrier row, until it is done.
 *
 * @example
 * ```ts
 * const redis = new Redis({ url, token });
 * const ac = aftercommit({
 *   log: upstashRedis(redis),
 *   transport: transports(qstash({ client }), redisStreams(redis, { channels: ["orders"] })),
 *   routes: { [orderPaid.name]: ["stream:orders/receipt", "https://stock.example.com/consumers/stock"] },
 * });
 * ```
 */
export function redisStreams(client: StreamClient, options: RedisStreamsOptions): Transport {
  const { channels, namespace = DEFAULT_NAMESPACE, clock = systemClock } = options;
  const redis = streamExecutor(client);

  return {
    channels: { [SCHEME]: channels },
    lossy: [SCHEME],

    async publish(dispatches) {
      const results: DispatchResult[] = [];
      const outgoing = new Map<string, { readonly index: number; readonly entry: NewEntry }[]>();
      for (const [index, dispatch] of dispatches.entries()) {
        const { destination } = dispatch.record;
        const address = streamAddress(destination);
        if (address === undefined || !channels.includes(address.channel)) {
          // Another release of this service may have had it, or may have it.
          results[index] = { status: "retry", reason: "this service has no channel of that name" };
          continue;
        }
        const items = outgoing.get(destination) ?? [];
        outgoing.set(destination, [...items, { index, entry: entryOf(dispatch, clock) }]);
      }
      await Promise.all(
        [...outgoing].flatMap(([destination, items]) => {
          const stream = subscriberStream(redis, namespace, streamAddress(destination)!);
          return batchesOf(items).map(async (batch) => {
            const found = await publishBatch(() => stream.publish(batch.map(({ entry }) => entry)), batch.length);
            for (const [i, { index }] of batch.entries()) results[index] = found[i]!;
          });
        }),
      );
      return results;
    },

    problems: () => problemsOf(channels, namespace),
  };
}

function entryOf({ record, body }: Dispatch, clock: Clock): NewEntry {
  return {
    deduplicationId: deduplicationId(record),
    waitMillis: Math.max(0, (record.send.notBefore ?? 0) - clock.now()),
    text: encodeText(record.meta, body),
  };
}

/** A script is applied as a whole, or not at all, or it is not known. */
async function publishBatch(
  publish: () => Promise<readonly boolean[]>,
  count: number,
): Promise<readonly DispatchResult[]> {
  try {
    const known = await publish();
    return Array.from({ length: count }, (_, i) => ({ status: "accepted", deduplicated: known[i] === true }));
  } catch (error) {
    // A client may go on with the command, and with the messages in it.
    const said = error instanceof Error ? error.message.split(", command was:")[0]! : "an unknown error";
    const reason = `Redis answered: ${said.replace(/\s+/g, " ").slice(0, MAX_REASON)}`;
    return Array.from({ length: count }, () => ({ status: "retry", reason }));
  }
}

function batchesOf<Item extends { readonly entry: NewEntry }>(items: readonly Item[]): readonly (readonly Item[])[] {
  const batches: Item[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = utf8Length(item.entry.text);
    const last = batches.at(-1);
    if (last === undefined || last.length === MAX_BATCH_ENTRIES || bytes + size > MAX_BATCH_BYTES) {
      batches.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return batches;
}

function problemsOf(channels: readonly string[], namespace: string): readonly ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = channels
    .filter((name) => !CHANNEL.test(name))
    .map((name) => ({
      path: "redisStreams.channels",
      expected: "names of letters, digits, '_' and '-', 1 to 63 long",
      found: JSON.stringify(name.slice(0, 200)),
      remedy: "It is what destinations call the channel: stream:<name>/<subscriber>.",
    }));
  if (!isNamespace(namespace)) {
    problems.push({
      path: "redisStreams.namespace",
      expected: "1 to 64 letters, digits, '_', '.' or '-'",
      found: JSON.stringify(namespace.slice(0, 200)),
      remedy: "Name it after the deployment.",
    });
  }
  return problems;
}
