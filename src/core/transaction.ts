import { InvalidMessageError, TransactionStateError } from "../errors.ts";
import { utf8Length } from "../model/bytes.ts";
import { deliveryRecord } from "../model/delivery.ts";
import type { DeliveryRecord, ParentRun, SendOptions } from "../model/delivery.ts";
import { DURATION_FORM, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import { encodeEnvelope } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { headerProblems, withHeaders } from "../model/headers.ts";
import { fingerprint } from "../model/ids.ts";
import type { Level } from "../model/states.ts";
import { isRetryDelay, validated } from "../model/topic.ts";
import type { Topic, TopicOptions } from "../model/topic.ts";
import { askLog } from "./ask.ts";
import type { Core } from "./core.ts";

/** How one message travels, where it differs from its topic. */
export interface PublishOptions extends TopicOptions {
  /** Which decision sends it: a message `on: "rollback"` goes out if the transaction is rolled back. @default "commit" */
  readonly on?: "commit" | "rollback";
  /** The earliest delivery; instead of `delay`. */
  readonly notBefore?: Date;
}

/** What `publish` gives back: the message's stable id. */
export interface PublishedMessage {
  /** The message id: stable through retries, redrives and reruns. */
  readonly id: string;
}

/** What a handler has of its transaction. */
export interface Transaction {
  /** Unique and sortable by time; keep it with the business data, so that a check can find it. */
  readonly id: string;
  /** How the outcome is decided. */
  readonly level: Level;
  /**
   * Registers a message for the transaction's outcome. When the promise resolves, the half message is in the log; it is
   * delivered if and only if the transaction is decided its way. Publishes of one tick travel as one write.
   *
   * @throws {InvalidMessageError} where data, headers, size or topic cannot be sent; nothing is kept.
   * @throws {TransactionStateError} where the transaction is decided already.
   * @throws {UnavailableError} where the log is out of reach; the message is not part of the transaction.
   */
  publish<Input>(topic: Topic<Input, unknown>, data: Input, options?: PublishOptions): Promise<PublishedMessage>;
}

/** A transaction from the inside: what the protocol needs besides what the handler sees. */
export interface OpenTransaction {
  readonly tx: Transaction;
  readonly check: string | undefined;
  /** Ends publishing, waits for publishes under way; from here on `publish` is refused. */
  close(): Promise<ClosedTransaction>;
}

/** What a transaction holds when no more is added. */
export interface ClosedTransaction {
  readonly id: string;
  readonly level: Level;
  readonly check: string | undefined;
  /** In the log for certain. */
  readonly records: readonly DeliveryRecord[];
  /** Rejected while being kept, so perhaps in the log: not part of the transaction. */
  readonly uncertain: readonly DeliveryRecord[];
  /** Whether anything may have been held meanwhile: the transaction took about as long as its deadline, or longer. */
  readonly overdue: boolean;
}

/** Who opens a transaction. */
export interface OpenOptions {
  readonly id: string;
  readonly check?: string;
  /** The consumer's run that publishes; its message ids then derive from the message it consumes. */
  readonly parent?: ParentRun;
  readonly traceparent?: string;
  readonly tracestate?: string;
}

interface Waiting {
  readonly build: () => Promise<readonly DeliveryRecord[]>;
  readonly resolve: (records: readonly DeliveryRecord[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Opens a transaction. No I/O until something is published. */
export function openTransaction(core: Core, options: OpenOptions): OpenTransaction {
  const level: Level = options.check === undefined ? "marked" : "checked";
  const records: DeliveryRecord[] = [];
  const uncertain: DeliveryRecord[] = [];
  const flushes = new Set<Promise<void>>();
  let waiting: Waiting[] = [];
  let messages = 0;
  let firstAt: number | undefined;
  let closed = false;

  const keep = async (batch: readonly DeliveryRecord[]): Promise<void> => {
    firstAt ??= core.clock.now();
    // Both are waited for: a write still under way when the publish is refused would land after its clean-up.
    const [kept, armed] = await Promise.allSettled([
      askLog(core, "the log to keep half messages", () => core.store!.transactions.prepare(batch)),
      core.armWatchdog(),
    ]);
    const failure = kept.status === "rejected" ? kept : armed;
    if (failure.status === "rejected") {
      uncertain.push(...batch);
      throw failure.reason;
    }
    records.push(...batch);
    core.emit({ type: "prepared", transactionId: options.id, deliveries: batch.length, level });
  };

  const flush = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    const built = await Promise.allSettled(batch.map((entry) => entry.build()));
    const good = built.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const kept = good.length === 0 ? undefined : keep(good);
    for (const [i, result] of built.entries()) {
      const entry = batch[i]!;
      if (result.status === "rejected") entry.reject(result.reason);
      else void kept!.then(() => entry.resolve(result.value), entry.reject);
    }
    await kept?.catch(() => undefined);
  };

  const publish: Transaction["publish"] = async (topic, data, publishOptions = {}) => {
    if (closed) throw decidedError(options.id);
    const index = messages++;
    const published = await new Promise<readonly DeliveryRecord[]>((resolve, reject) => {
      waiting.push({ build: () => buildRecords(core, options, index, topic, data, publishOptions), resolve, reject });
      if (waiting.length > 1) return;
      const flushed: Promise<void> = Promise.resolve()
        .then(flush)
        .finally(() => flushes.delete(flushed));
      flushes.add(flushed);
    });
    return { id: published[0]!.messageId };
  };

  return {
    tx: { id: options.id, level, publish },
    check: options.check,
    async close() {
      closed = true;
      while (flushes.size > 0) await Promise.all(flushes);
      const elapsed = firstAt === undefined ? 0 : core.clock.now() - firstAt;
      const overdue = elapsed < 0 || elapsed > core.settings.deadlineMillis * 0.9;
      return { id: options.id, level, check: options.check, records, uncertain, overdue };
    },
  };
}

/** One record per destination of a message; every check that can refuse it is made here, before anything is kept. */
async function buildRecords(
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
  const body = encoded(topic, {
    specversion: "1.0",
    id: messageId,
    source: core.settings.source,
    type: topic.name,
    time: new Date(now).toISOString(),
    datacontenttype: "application/json",
    transactionid: open.id,
    messageindex: index,
    ...(send.notBefore === undefined ? {} : { notbefore: new Date(send.notBefore).toISOString() }),
    ...(open.parent === undefined ? {} : { causationid: open.parent.messageId }),
    ...(open.traceparent === undefined ? {} : { traceparent: open.traceparent }),
    ...(open.tracestate === undefined ? {} : { tracestate: open.tracestate }),
    data,
  });
  const bytes = utf8Length(body);
  if (bytes > core.settings.maxMessageBytes) {
    throw new InvalidMessageError(
      `Expected a message of at most ${core.settings.maxMessageBytes} bytes, found ${bytes} for the topic "${topic.name}".`,
      { code: "ERR_MESSAGE_TOO_LARGE", hint: "Store what is large elsewhere, and publish where it lies.", messageId },
    );
  }
  return routes.map((route) =>
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
        deadlineMillis: core.settings.deadlineMillis,
        send,
        ...(open.parent === undefined ? {} : { parent: open.parent }),
      },
      body,
    ),
  );
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
  const wrong = headerProblems(merged.headers)[0];
  if (wrong !== undefined) refuse(wrong.expected, wrong.found, wrong.remedy);
  const { retries, retryDelay, notBefore, on = "commit" } = merged;
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
  const notBeforeMillis = notBefore?.getTime() ?? (delayMillis === undefined ? undefined : now + delayMillis);
  return {
    ...(retries === undefined ? {} : { retries }),
    ...(retryDelay === undefined ? {} : { retryDelay }),
    ...(timeoutMillis === undefined ? {} : { timeoutMillis }),
    ...(notBeforeMillis === undefined ? {} : { notBefore: notBeforeMillis }),
    ...(Object.keys(merged.headers).length === 0 ? {} : { headers: merged.headers }),
  };
}

function decidedError(transactionId: string): TransactionStateError {
  return new TransactionStateError(`Expected an open transaction, found "${transactionId}" ended.`, {
    hint: "Publish before the handler returns its response, and await it; work that goes on afterwards needs a transaction of its own.",
    transactionId,
  });
}
