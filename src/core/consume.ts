import { FatalError, RetryableError } from "../errors.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { formatDuration } from "../model/duration.ts";
import { ageFrom } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { randomToken, transactionIdAt } from "../model/ids.ts";
import type { Topic } from "../model/topic.ts";
import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { askInbox, askPayloads } from "./ask.ts";
import { openBarrier } from "./barrier-transaction.ts";
import type { RunOptions } from "./barrier-transaction.ts";
import { completeBarrierRun, failBarrierRun } from "./end-barrier-run.ts";
import type { BatchName, Databases, HandleOf, InteractiveName, ResultsOf, StatementOf } from "./database-types.ts";
import { transactionIdBeside } from "./core.ts";
import type { Core } from "./core.ts";
import { completeRun, endFailed, failRun, markDelivered } from "./end-run.ts";
import type { Consumption, Run } from "./end-run.ts";
import { keepLease } from "./lease.ts";
import type { KeptLease } from "./lease.ts";
import { isReadLater, readData, readPlain } from "./read-data.ts";
import type { Reading } from "./read-data.ts";
import { openTransaction } from "./transaction.ts";
import type { Transaction } from "./transaction.ts";

/** What a consumer's handler is given. */
export interface Message<Data, All extends Databases = Databases> {
  /** The message id: the same for every attempt, rerun and redrive. Fit as an idempotency key for what the handler calls. */
  readonly id: string;
  /** The topic's name. */
  readonly topic: string;
  /** What the schema made of the data. */
  readonly data: Data;
  /** The deployment that sent it. */
  readonly source: string;
  /** When it was published. */
  readonly time: Date;
  /** From 1; a hint of the transport. */
  readonly attempt: number;
  /** W3C trace context, where the sender had one. */
  readonly traceparent: string | undefined;
  /** The second half of it: what the senders' own systems add. */
  readonly tracestate: string | undefined;
  /** Aborts when this run has lost its lease, and another may be running. */
  readonly signal: AbortSignal;
  /** Publishes with this message: what is registered goes out if and only if the message is done. */
  readonly tx: Transaction<All>;
  /**
   * Does the message's work as one SQL transaction, with the message's own inbox row and with what it publishes: the
   * effect is exactly once. What the work returns is the message's outcome, whatever the handler returns; a message that
   * is done already runs nothing, and resolves to that outcome as JSON holds it. Needs a consumer with a `database`.
   *
   * @throws {TransactionStateError} where the consumer has no such database, or has run before.
   * @throws {OutcomeUnknownError} where the answer to COMMIT was lost: let it through, the retry finds out.
   */
  run<Name extends InteractiveName<All>, T>(
    database: Name,
    work: (sql: HandleOf<All, Name>) => Promise<T>,
    options?: RunOptions,
  ): Promise<T>;
  /**
   * The same with statements that go to the database in one call. Resolves to what they brought; to `null` for a message
   * that is done already.
   *
   * @throws {TransactionStateError} where the consumer has no such database, or has run before.
   * @throws {OutcomeUnknownError} where the answer was lost: let it through, the retry finds out.
   */
  batch<Name extends BatchName<All>>(
    database: Name,
    statements: readonly StatementOf<All, Name>[],
  ): Promise<ResultsOf<All, Name> | null>;
}

/** A verified delivery, whichever way it came. */
export interface Arrival {
  /** The consumer's name: given, or the verified destination URL. */
  readonly consumer: string;
  readonly envelope: Envelope;
  readonly attempt: number;
  /** The record of this delivery, if the log or its row is shared. */
  readonly record?: DeliveryRecord;
  /** The database that the consumer's effect and its own messages are committed in. */
  readonly database?: string;
}

/** What runs for each message; what it returns is kept, as JSON, as the outcome that duplicates are answered with. */
export type Handler<Data> = (message: Message<Data>) => unknown;

/**
 * Consumes one delivery: at most one run at a time holds the lease of a message, and only success is remembered.
 *
 * A duplicate is answered with the stored outcome and runs nothing. A crash lets the lease lapse, and the transport's
 * retry runs again: without a barrier in the user's own database the effect is at least once.
 */
export async function consume<Data>(
  core: Core,
  arrival: Arrival,
  topic: Topic<unknown, Data>,
  handler: Handler<Data>,
): Promise<Consumption> {
  const { envelope, consumer } = arrival;
  const inbox = core.inbox!;
  const refusal = refusalOf(core, envelope, topic);
  if (refusal !== undefined) return { status: "dead", reason: refusal };
  const early = isReadLater(topic, envelope) ? undefined : await readPlain(topic, envelope);
  if (early !== undefined && !("data" in early)) return early;

  const claimedAt = core.clock.now();
  const claim: InboxClaim = { consumer, messageId: envelope.id, token: randomToken(core.crypto) };
  const found = await askInbox(core, "the inbox to claim a message", () =>
    inbox.claim(claim, core.settings.inboxLeaseMillis),
  );
  if (found.state === "done") {
    core.emit({ type: "duplicate", consumer, messageId: envelope.id });
    const ack = { status: "ack", duplicate: true, outcome: found.outcome } as const;
    // A retry means that the run that did it was cut off, perhaps before it could tell the log.
    if (arrival.attempt <= 1) return ack;
    return dropping(core, envelope, { ...ack, afterwards: () => markDelivered(core, arrival.record) });
  }
  if (found.state === "busy") {
    core.emit({ type: "busy", consumer, messageId: envelope.id });
    return {
      status: "retry",
      reason: "another run holds the lease",
      busy: true,
      afterMillis: core.settings.inboxLeaseMillis,
    };
  }

  const lease = keepLease(core, inbox, claim, claimedAt);
  const parent = {
    parent: { consumer, messageId: envelope.id, token: claim.token },
    ...(envelope.traceparent === undefined ? {} : { traceparent: envelope.traceparent }),
    ...(envelope.tracestate === undefined ? {} : { tracestate: envelope.tracestate }),
  };
  const run: Run = { inbox, claim, lease, attempt: arrival.attempt, record: arrival.record };
  const reading = early ?? (await readClaimed(core, run, topic, envelope));
  if (!("data" in reading)) return reading;
  const data = reading.data as Data;
  if (arrival.database === undefined) {
    const open = openTransaction(core, { id: childId(core, inbox, envelope.id), ...parent });
    const ended = await handled(
      () => handler(messageOf(arrival, data, lease, open.tx)),
      (returned) => completeRun(core, run, open, returned),
      (error) => failRun(core, run, open, error),
    );
    return dropping(core, envelope, ended);
  }
  const open = openBarrier(core, {
    id: transactionIdAt(core.clock.now(), core.crypto),
    database: arrival.database,
    consumed: { claim, retentionMillis: core.settings.inboxRetentionMillis },
    ...parent,
  });
  const ended = await handled(
    () => handler(messageOf(arrival, data, lease, open.tx)),
    (returned) => completeBarrierRun(core, run, open, returned),
    (error) => failBarrierRun(core, run, open, error),
  );
  return dropping(core, envelope, ended);
}

/** Reads what could not be read before the claim; where it cannot be read now either, the message is given back. */
async function readClaimed(core: Core, run: Run, topic: Topic, envelope: Envelope): Promise<Reading | Consumption> {
  let reading: Reading;
  try {
    reading = await readData(core, topic, envelope);
  } catch (error) {
    return endFailed(core, run, error, undefined);
  }
  if ("data" in reading) return reading;
  const { status, reason } = reading;
  await endFailed(core, run, status === "dead" ? new FatalError(reason) : new RetryableError(reason), undefined);
  return reading;
}

/** What a payload store keeps for a delivery alone goes once that is done; what is left of it there has its own end. */
function dropping(core: Core, envelope: Envelope, consumption: Consumption): Consumption {
  const { payloads } = core;
  if (payloads === undefined || envelope.dataexclusive !== true || consumption.status !== "ack") return consumption;
  const drop = () => askPayloads(core, "a payload to be dropped", () => payloads.drop(envelope));
  const afterwards = async () => {
    await consumption.afterwards?.();
    await drop().catch((error: unknown) => core.emit({ type: "background", error }));
  };
  return { ...consumption, afterwards };
}

async function handled(
  handle: () => unknown,
  complete: (returned: unknown) => Promise<Consumption>,
  fail: (error: unknown) => Promise<Consumption>,
): Promise<Consumption> {
  let returned: unknown;
  try {
    returned = await handle();
  } catch (error) {
    return fail(error);
  }
  return complete(returned);
}

/** Why a message cannot be consumed here at all, whatever its data. */
function refusalOf(core: Core, envelope: Envelope, topic: Topic): string | undefined {
  if (envelope.type !== topic.name) return `expected the topic "${topic.name}", found "${envelope.type.slice(0, 128)}"`;
  const age = core.clock.now() - ageFrom(envelope);
  const retention = core.settings.inboxRetentionMillis;
  return age > retention
    ? `expired: older than the ${formatDuration(retention)} that this consumer remembers messages`
    : undefined;
}

/** A child transaction lies in the part of the store where its parent's inbox entry lies, so that one act decides both. */
function childId(core: Core, inbox: Inbox, messageId: string): string {
  return core.store?.inbox === inbox
    ? transactionIdBeside(core, core.store, messageId)
    : transactionIdAt(core.clock.now(), core.crypto);
}

function messageOf<Data>(arrival: Arrival, data: Data, lease: KeptLease, tx: Transaction): Message<Data> {
  const { envelope } = arrival;
  return {
    id: envelope.id,
    topic: envelope.type,
    data,
    source: envelope.source,
    time: new Date(envelope.time),
    attempt: arrival.attempt,
    traceparent: envelope.traceparent,
    tracestate: envelope.tracestate,
    signal: lease.lost,
    tx,
    run: tx.run,
    batch: tx.batch,
  };
}
