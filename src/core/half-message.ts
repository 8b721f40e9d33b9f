import { InvalidMessageError } from "../errors.ts";
import { utf8Length } from "../model/bytes.ts";
import { deliveryRecord } from "../model/delivery.ts";
import type { DeliveryRecord, ParentRun, SendOptions } from "../model/delivery.ts";
import { DURATION_FORM, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import { encodeEnvelope } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { headerProblems, withHeaders } from "../model/headers.ts";
import { fingerprint } from "../model/ids.ts";
import { shardOf } from "../model/shard.ts";
import { flowProblems, isRetryDelay, validated, versionOf } from "../model/topic.ts";
import type { FlowLimits, Topic, TopicOptions } from "../model/topic.ts";
import type { Core } from "./core.ts";
import { seal } from "./seal.ts";

/** How one message travels, where it differs from its topic. */
export interface PublishOptions extends TopicOptions {
  /** Which decision sends it: a message `on: "rollback"` goes out if the transaction is rolled back. @default "commit" */
  readonly on?: "commit" | "rollback";
  /** The earliest delivery; instead of `delay`. */
  readonly notBefore?: Date;
  /** Messages of a topic with the same key wait for each other: see {@link TopicOptions.orderQueues}. */
  readonly orderKey?: string;
}

/** Who opens a transaction. */
export interface OpenOptions {
  readonly id: string;
  readonly check?: string;
  /** Whether messages go on in memory where the log is out of reach. @default false */
  readonly proceed?: boolean;
  /** The database whose row decides. */
  readonly database?: string;
  /** Whether a caller's idempotency key names it: then its row is written even without messages. @default false */
  readonly keyed?: boolean;
  /** The consumer's run that publishes; its message ids then derive from the message it consumes. */
  readonly parent?: ParentRun;
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** The half messages of one publish, one per destination; every check that can refuse it is made here, before anything is kept. */
export async function halfMessages(
  core: Core,
  open: OpenOptions,
  index: number,
  topic: Topic,
  data: unknown,
  options: PublishOptions,
): Promise<readonly DeliveryRecord[]> {
  const routes = await core.routes(topic.name);
  if (routes.length === 0) {
    throw new InvalidMessageError(`Expected a route for the topic "${topic.name}", found none.`, {
      code: "ERR_UNKNOWN_TOPIC",
      hint: `Name its destinations in the configuration: routes: { "${topic.name}": ["/consumers/…"] }.`,
      transactionId: open.id,
    });
  }
  const now = core.clock.now();
  const send = sendOptions(topic, options, now);
  await validated(topic, data);
  const messageId = await messageIdOf(core, open, index);
  const version = versionOf(topic);
  const plain: Envelope = {
    specversion: "1.0",
    id: messageId,
    source: core.settings.source,
    type: topic.name,
    time: new Date(now).toISOString(),
    datacontenttype: "application/json",
    ...(version === 1 ? {} : { dataversion: version }),
    transactionid: open.id,
    messageindex: index,
    ...(send.notBefore === undefined ? {} : { notbefore: new Date(send.notBefore).toISOString() }),
    ...(open.parent === undefined ? {} : { causationid: open.parent.messageId }),
    ...(open.traceparent === undefined ? {} : { traceparent: open.traceparent }),
    ...(open.tracestate === undefined ? {} : { tracestate: open.tracestate }),
    data,
  };
  const whole = encoded(topic, plain);
  const { encrypted } = topic.options;
  const sealed = await seal(core, plain, { encrypted, destinations: routes.length, notBefore: send.notBefore });
  const body = sealed === plain ? whole : encodeEnvelope(sealed);
  const bytes = utf8Length(body);
  if (bytes > core.settings.maxMessageBytes) {
    throw new InvalidMessageError(
      `Expected a message of at most ${core.settings.maxMessageBytes} bytes, found ${bytes} for the topic "${topic.name}".`,
      { code: "ERR_MESSAGE_TOO_LARGE", hint: "Store what is large elsewhere, and publish where it lies.", messageId },
    );
  }
  const records = routes.map((route) =>
    deliveryRecord(
      {
        transactionId: open.id,
        index,
        destination: route.url,
        destinationHash: route.hash,
        topic: topic.name,
        messageId,
        on: options.on ?? "commit",
        ...(open.check === undefined ? {} : { check: open.check }),
        ...(open.database === undefined ? {} : { database: open.database }),
        deadlineMillis: core.settings.deadlineMillis,
        send,
        ...(open.parent === undefined ? {} : { parent: open.parent }),
      },
      body,
    ),
  );
  for (const record of records) {
    const refusal = core.transport?.refusal?.(record);
    if (refusal === undefined) continue;
    const { found, ...details } = refusal;
    throw new InvalidMessageError(`Expected a message that "${record.destination}" can take, found ${found}.`, {
      ...details,
      messageId,
    });
  }
  return records;
}

/** A consumer's messages derive from the one it consumes, so that a rerun's are duplicates downstream and not new ones. */
async function messageIdOf(core: Core, open: OpenOptions, index: number): Promise<string> {
  if (open.parent === undefined) return `${open.id}_${index}`;
  return fingerprint(core.crypto, open.parent.consumer, open.parent.messageId, String(index));
}

/** The half message's text. The data go out as they came in: the consumer's schema turns them into what it makes of them. */
function encoded(topic: Topic, envelope: Omit<Envelope, "decidedat">): string {
  try {
    return encodeEnvelope(envelope);
  } catch (cause) {
    throw new InvalidMessageError(
      `Expected data that JSON can hold for the topic "${topic.name}", found other values.`,
      {
        hint: "Turn bigints, cycles and the like into text or numbers first.",
        cause,
      },
    );
  }
}

function sendOptions(topic: Topic, options: PublishOptions, now: number): SendOptions {
  const merged = { ...topic.options, ...options, headers: withHeaders(topic.options.headers, options.headers) };
  const refuse = (expected: string, found: string, hint: string): never => {
    throw new InvalidMessageError(`Expected ${expected} for the topic "${topic.name}", found ${found}.`, { hint });
  };
  const millis = (name: string, value: Duration | undefined): number | undefined => {
    const parsed = value === undefined ? undefined : parseDuration(value);
    return value !== undefined && parsed === undefined
      ? refuse(`${name} to be ${DURATION_FORM}`, String(value), "Write number and unit together.")
      : parsed;
  };
  for (const wrong of [...headerProblems(merged.headers), ...flowProblems(merged)])
    refuse(wrong.expected, wrong.found, wrong.remedy);
  const { retries, retryDelay, notBefore, on = "commit", flow, orderKey, orderQueues = 1 } = merged;
  if (on !== "commit" && on !== "rollback")
    refuse('on to be "commit" or "rollback"', "another value", 'Leave it out for "commit".');
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0 && retries <= 100)) {
    refuse("retries to be a whole number from 0 to 100", String(retries), "Leave it out for the topic's own.");
  }
  if (retryDelay !== undefined && !isRetryDelay(retryDelay)) {
    refuse(
      "retryDelay to be an arithmetic expression",
      "other characters",
      'Write one such as "1000 * pow(2, retried)".',
    );
  }
  if (notBefore !== undefined && Number.isNaN(notBefore.getTime()))
    refuse("notBefore to be a valid Date", "an invalid one", "Check how it was made.");
  const timeoutMillis = millis("timeout", merged.timeout);
  const delayMillis = millis("delay", merged.delay);
  if (orderKey !== undefined && typeof orderKey !== "string")
    refuse("an orderKey to be text", typeof orderKey, "Name what is ordered, such as the account.");
  if (orderKey !== undefined && (notBefore ?? merged.delay) !== undefined) {
    refuse("either an orderKey or a delay", "both", "A message that waits would keep those behind it waiting.");
  }
  const notBeforeMillis = notBefore?.getTime() ?? (delayMillis === undefined ? undefined : now + delayMillis);
  return {
    ...(retries === undefined ? {} : { retries }),
    ...(retryDelay === undefined ? {} : { retryDelay }),
    ...(timeoutMillis === undefined ? {} : { timeoutMillis }),
    ...(notBeforeMillis === undefined ? {} : { notBefore: notBeforeMillis }),
    ...(Object.keys(merged.headers).length === 0 ? {} : { headers: merged.headers }),
    ...(flow === undefined ? {} : { flow: sentLimits(flow) }),
    ...(orderKey === undefined ? {} : { queue: shardOf(orderKey, orderQueues) }),
  };
}

function sentLimits({ parallelism, rate, period = "1s" }: FlowLimits): NonNullable<SendOptions["flow"]> {
  return {
    ...(parallelism === undefined ? {} : { parallelism }),
    ...(rate === undefined ? {} : { rate }),
    periodSeconds: Math.ceil(parseDuration(period)! / 1_000),
  };
}
