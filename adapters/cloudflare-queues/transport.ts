import type { ConfigurationProblem } from "../../src/errors.ts";
import { utf8Length } from "../../src/model/bytes.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import { addressOf } from "../../src/model/destination.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Dispatch, DispatchResult, Refusal, Transport } from "../../src/ports/transport.ts";
import { systemClock } from "../../src/system/clock.ts";
import type { QueueLike } from "./bindings.ts";
import { MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES } from "./limits.ts";
import { encodeMessage } from "./message-text.ts";
import { sendAll } from "./publish.ts";
import type { Outgoing } from "./publish.ts";

/** Options of {@link cloudflareQueues}. */
export interface CloudflareQueuesOptions {
  /** Tells when a delay ends. @default the system's */
  readonly clock?: Clock | undefined;
}

/** What a body and its facts gain after they were first looked at: the time of the decision, the epoch of a redrive. */
const RESERVE_BYTES = 256;
const CHANNEL = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/**
 * Carries messages by Cloudflare Queues. The queues are given by the names that destinations call them by:
 * `queue:orders/receipt` is the queue `orders`, and the subscriber `receipt` in whichever Worker consumes it.
 *
 * A queue has taken a message once `sendBatch` resolves, and delivers it at least once. It recognises no copies: the inbox
 * does. Messages that are to wait for longer than a queue can keep them back stay in the log, or in their row, until then.
 *
 * @example
 * ```ts
 * const ac = aftercommit<Env>((env) => ({
 *   databases: { main: d1(env.DB) },
 *   inbox: "main",
 *   transport: cloudflareQueues({ orders: env.ORDERS }),
 *   routes: { [orderPaid.name]: ["queue:orders/receipt", "queue:orders/stock"] },
 * }));
 * ```
 */
export function cloudflareQueues(
  queues: Readonly<Record<string, QueueLike>>,
  options: CloudflareQueuesOptions = {},
): Transport {
  const { clock = systemClock } = options;

  /** The result that needs no call, or the message to be sent. */
  const prepared = (dispatch: Dispatch, index: number): DispatchResult | Outgoing => {
    const { record, body } = dispatch;
    const text = encodeMessage(record.meta, body);
    const bytes = utf8Length(text);
    if (bytes > MAX_MESSAGE_BYTES) return { status: "refused", reason: tooLarge(bytes), code: 413 };
    const waitMillis = Math.max(0, (record.send.notBefore ?? 0) - clock.now());
    const delaySeconds = Math.ceil(waitMillis / 1_000);
    if (delaySeconds > MAX_DELAY_SECONDS) {
      const afterMillis = waitMillis - MAX_DELAY_SECONDS * 1_000;
      return { status: "retry", reason: "a queue keeps nothing back for so long", afterMillis };
    }
    const message = { body: text, contentType: "text" as const, ...(delaySeconds === 0 ? {} : { delaySeconds }) };
    return { message, index };
  };

  return {
    channels: { queue: Object.keys(queues) },

    async publish(dispatches) {
      const results: DispatchResult[] = [];
      const outgoing = new Map(Object.keys(queues).map((channel) => [channel, [] as Outgoing[]]));
      for (const [index, dispatch] of dispatches.entries()) {
        const address = addressOf(dispatch.record.destination);
        const items = address?.scheme === "queue" ? outgoing.get(address.channel) : undefined;
        const made = items === undefined ? UNKNOWN_QUEUE : prepared(dispatch, index);
        if ("status" in made) results[index] = made;
        else items!.push(made);
      }
      await Promise.all(
        [...outgoing].map(async ([channel, items]) => {
          for (const [index, result] of await sendAll(queues[channel]!, items)) results[index] = result;
        }),
      );
      return results;
    },

    refusal: refusalOf,

    problems: () => Object.entries(queues).flatMap(([name, queue]) => problemsOf(name, queue)),
  };
}

/** What can be known before the decision: a queue keeps no order and no limits, and takes no large messages. */
function refusalOf({ meta, body, send }: DeliveryRecord): Refusal | undefined {
  if (send.queue !== undefined)
    return { found: "an orderKey", hint: "A Cloudflare queue keeps no order; leave it out, or send it by QStash." };
  if (send.flow !== undefined)
    return { found: "flow limits", hint: "Limit the queue's consumer by its max_concurrency instead." };
  const bytes = utf8Length(encodeMessage(meta, body)) + RESERVE_BYTES;
  if (bytes <= MAX_MESSAGE_BYTES) return undefined;
  const hint = "Store what is large elsewhere, and publish where it lies.";
  return { found: tooLarge(bytes), hint, code: "ERR_MESSAGE_TOO_LARGE" };
}

/** Another release of this service may have had it, or may have it. */
const UNKNOWN_QUEUE: DispatchResult = { status: "retry", reason: "this service has no queue of that name" };

function tooLarge(bytes: number): string {
  return `${bytes} bytes, more than the ${MAX_MESSAGE_BYTES} of a queue's message`;
}

function problemsOf(name: string, queue: unknown): readonly ConfigurationProblem[] {
  const path = `cloudflareQueues.${name}`;
  const problems: ConfigurationProblem[] = [];
  if (!CHANNEL.test(name)) {
    problems.push({
      path,
      expected: "a name of letters, digits, '_' and '-', 1 to 63 long",
      found: JSON.stringify(name.slice(0, 200)),
      remedy: "It is what destinations call the queue: queue:<name>/<subscriber>.",
    });
  }
  if (typeof queue !== "object" || queue === null || !("sendBatch" in queue)) {
    problems.push({
      path,
      expected: "the producer binding of a queue",
      found: queue === undefined || queue === null ? "nothing" : `another ${typeof queue}`,
      remedy: "Add it to queues.producers in wrangler.jsonc, and pass env.<BINDING>.",
    });
  }
  return problems;
}
