import type { PublishOptions } from "../core/half-message.ts";
import type { PublishedMessage, Transaction } from "../core/transaction.ts";
import { InvalidMessageError } from "../errors.ts";
import type { Duration } from "../model/duration.ts";
import type { StandardSchema } from "../model/standard-schema.ts";
import { topic } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import { DEFAULT_SCHEDULE, retryDelayOf, waitsOf } from "./schedule.ts";

/** What kind of thing a receiver is told of, and how hard it is tried. */
export interface NotificationOptions<Input, Data> {
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Data>;
  /** The waits before the second attempt and those after it; then it ends. @default DEFAULT_SCHEDULE */
  readonly schedule?: readonly Duration[];
}

/** What a notification is, on its way to whoever makes the attempts. */
export interface NotificationData<Data> {
  /** The receiver's URL. */
  readonly to: string;
  /** How many attempts follow the first. */
  readonly retries: number;
  /** What it tells. */
  readonly data: Data;
}

/** A kind of notification: a topic whose messages the service itself delivers, attempt by attempt. */
export interface Notification<Input = unknown, Data = Input> extends Topic<
  NotificationData<Input>,
  NotificationData<Data>
> {
  /** How many attempts follow the first. */
  readonly retries: number;
}

/**
 * Declares a kind of notification. Best effort: attempts with growing waits, then a quiet end. `routes` leads from its name
 * to where {@link notificationRoutes} are mounted.
 *
 * @throws {ConfigurationError} where the name or the schedule is not usable.
 * @example
 * ```ts
 * export const orderPaid = notification("order.paid", { schema: z.object({ orderId: z.string() }) });
 *
 * await notify(tx, orderPaid, partner.url, { orderId });
 * ```
 */
export function notification<Input, Data>(
  name: string,
  options: NotificationOptions<Input, Data>,
): Notification<Input, Data> {
  const waits = waitsOf(`notification "${name}"`, options.schedule ?? DEFAULT_SCHEDULE);
  const declared = topic(name, notificationSchema(options.schema), sendingBy(waits));
  return { ...declared, retries: waits.length };
}

/** How one notification is sent, where it differs. */
export interface NotifyOptions extends Pick<PublishOptions, "on" | "delay" | "notBefore"> {
  /** Its own waits. */
  readonly schedule?: readonly Duration[];
}

/**
 * Registers a notification for the transaction's outcome, as `tx.publish` registers a message.
 *
 * @throws {InvalidMessageError} where the URL is none, or the data are refused by the schema; and what `tx.publish` throws.
 * @throws {ConfigurationError} where the schedule is not usable.
 */
export async function notify<Input>(
  tx: Pick<Transaction, "publish">,
  kind: Notification<Input>,
  to: string,
  data: Input,
  options: NotifyOptions = {},
): Promise<PublishedMessage> {
  const { schedule, ...rest } = options;
  const protocol = URL.canParse(to) ? new URL(to).protocol : undefined;
  if (protocol !== "https:" && protocol !== "http:") {
    throw new InvalidMessageError(`Expected a URL to notify of "${kind.name}", found another text.`, {
      hint: "Pass the absolute https URL that the receiver has given.",
    });
  }
  const waits = schedule === undefined ? undefined : waitsOf(`notification "${kind.name}"`, schedule);
  const retries = waits?.length ?? kind.retries;
  return tx.publish(kind, { to, retries, data }, { ...rest, ...(waits === undefined ? {} : sendingBy(waits)) });
}

function sendingBy(waits: readonly number[]): Pick<PublishOptions, "retries" | "retryDelay"> {
  return { retries: waits.length, retryDelay: retryDelayOf(waits) };
}

function notificationSchema<Input, Data>(
  schema: StandardSchema<Input, Data>,
): StandardSchema<NotificationData<Input>, NotificationData<Data>> {
  return {
    "~standard": {
      version: 1,
      vendor: "aftercommit",
      async validate(value) {
        const { to, retries, data } = (value ?? {}) as Partial<NotificationData<unknown>>;
        if (typeof to !== "string" || !Number.isInteger(retries))
          return { issues: [{ message: "expected a URL and a number of retries", path: ["to"] }] };
        const result = await schema["~standard"].validate(data);
        return result.issues === undefined ? { value: { to, retries: retries!, data: result.value } } : result;
      },
    },
  };
}
