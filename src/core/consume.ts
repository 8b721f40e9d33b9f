import { FatalError, RetryableError } from "../errors.ts";
import { utf8Length } from "../model/bytes.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { formatDuration, parseDuration } from "../model/duration.ts";
import { ageFrom } from "../model/envelope.ts";
import type { Envelope } from "../model/envelope.ts";
import { randomToken, transactionIdAt } from "../model/ids.ts";
import { describeIssues } from "../model/standard-schema.ts";
import type { Topic } from "../model/topic.ts";
import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { askInbox, askLog } from "./ask.ts";
import { transactionIdBeside } from "./core.ts";
import type { Core } from "./core.ts";
import { dropUncertain } from "./decide.ts";
import { carryOut, decidedAs } from "./dispatch.ts";
import { keepLease } from "./lease.ts";
import type { KeptLease } from "./lease.ts";
import { openTransaction } from "./transaction.ts";
import type { ClosedTransaction, OpenTransaction, Transaction } from "./transaction.ts";

/** What a consumer's handler is given. */
export interface Message<Data> {
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
  readonly tx: Transaction;
}

/** A verified delivery, whichever way it came. */
export interface Arrival {
  /** The consumer's name: given, or the verified destination URL. */
  readonly consumer: string;
  readonly envelope: Envelope;
  readonly attempt: number;
  /** The log's record of this delivery, if the log is shared. */
  readonly record?: DeliveryRecord;
}

/** What the transport is to be told. */
export type Consumption =
  | {
      readonly status: "ack";
      readonly duplicate: boolean;
      readonly outcome: string;
      readonly afterwards?: () => Promise<void>;
    }
  | { readonly status: "retry"; readonly reason: string; readonly busy: boolean; readonly afterMillis?: number }
  | { readonly status: "dead"; readonly reason: string };

/** What runs for each message; what it returns is kept, as JSON, as the outcome that duplicates are answered with. */
export type Handler<Data> = (message: Message<Data>) => unknown;

/** The largest outcome that is kept with a message, in bytes of JSON. */
export const MAX_OUTCOME_BYTES = 4_096;

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
  const validation = await topic.schema["~standard"].validate(envelope.data);
  if (validation.issues !== undefined)
    return { status: "dead", reason: `schema: ${describeIssues(validation.issues)}` };

  const claimedAt = core.clock.now();
  const claim: InboxClaim = { consumer, messageId: envelope.id, token: randomToken(core.crypto) };
  const found = await askInbox(core, "the inbox to claim a message", () =>
    inbox.claim(claim, core.settings.inboxLeaseMillis),
  );
  if (found.state === "done") {
    core.emit({ type: "duplicate", consumer, messageId: envelope.id });
    const ack = { status: "ack", duplicate: true, outcome: found.outcome } as const;
    // A retry means that the run that did it was cut off, perhaps before it could tell the log.
    return arrival.attempt > 1 ? { ...ack, afterwards: () => markDelivered(core, arrival.record) } : ack;
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
  const open = openTransaction(core, {
    id: childId(core, inbox, envelope.id),
    parent: { consumer, messageId: envelope.id, token: claim.token },
    ...(envelope.traceparent === undefined ? {} : { traceparent: envelope.traceparent }),
    ...(envelope.tracestate === undefined ? {} : { tracestate: envelope.tracestate }),
  });
  let outcome: string;
  try {
    outcome = encodeOutcome(core, await handler(messageOf(arrival, validation.value, lease, open.tx)));
  } catch (error) {
    return failed(core, inbox, claim, lease, open, error);
  }
  return completed(core, inbox, claim, lease, open, arrival, outcome);
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
  };
}

/** The effect has happened by now: an outcome that cannot be kept is left out, and is no reason to fail. */
function encodeOutcome(core: Core, value: unknown): string {
  try {
    const json = JSON.stringify(value ?? null) ?? "null";
    if (utf8Length(json) <= MAX_OUTCOME_BYTES) return json;
    throw new RangeError(
      `Expected an outcome of at most ${MAX_OUTCOME_BYTES} bytes of JSON, found more; it is not kept.`,
    );
  } catch (error) {
    core.emit({ type: "background", error });
    return "null";
  }
}

/** The handler succeeded: the outcome and the decision about what it published are one act where log and inbox are one store. */
async function completed(
  core: Core,
  inbox: Inbox,
  claim: InboxClaim,
  lease: KeptLease,
  open: OpenTransaction,
  arrival: Arrival,
  outcome: string,
): Promise<Consumption> {
  const closed = await open.close();
  await lease.stop();
  const at = core.clock.now();
  const published = closed.records.length > 0 || closed.uncertain.length > 0;
  const child = published ? { transactionId: closed.id, at } : undefined;
  const oneStore = core.store?.inbox === inbox;
  if (published) await dropUncertain(core, closed);
  if (child !== undefined && !oneStore) {
    const decision = await askLog(core, "the log to decide", () =>
      core.store!.transactions.decide(closed.id, "committed", at),
    );
    if (decision.verdict === "rolledBack") return lostLease(core, claim);
  }
  const completion = {
    outcome,
    retentionMillis: core.settings.inboxRetentionMillis,
    ...(child !== undefined && oneStore ? { child } : {}),
  };
  const result = await askInbox(core, "the inbox to complete a message", () => inbox.complete(claim, completion));
  if (result !== "completed") return lostLease(core, claim);
  if (published) core.emit({ type: "decided", transactionId: closed.id, verdict: "committed", by: "consumer" });
  core.emit({ type: "consumed", consumer: claim.consumer, messageId: claim.messageId, attempt: arrival.attempt });
  return {
    status: "ack",
    duplicate: false,
    outcome,
    afterwards: async () => {
      await Promise.all([
        markDelivered(core, arrival.record),
        child === undefined
          ? undefined
          : carryOut(core, decidedAs({ verdict: "committed", decidedAt: at }, closed.records)),
      ]);
    },
  };
}

/** Tells a shared log that the delivery has arrived, so that its payload may go; if this is lost, the sweep finds out. */
async function markDelivered(core: Core, record: DeliveryRecord | undefined): Promise<void> {
  if (record === undefined || core.store === undefined) return;
  try {
    await askLog(core, "the log to record a delivery", () =>
      core.store!.transactions.record([{ record, settled: true }]),
    );
    core.emit({ type: "delivered", key: record.key, transactionId: record.transactionId });
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

function lostLease(core: Core, claim: InboxClaim): Consumption {
  core.emit({ type: "leaseLost", consumer: claim.consumer, messageId: claim.messageId });
  return {
    status: "retry",
    reason: "the lease was lost before the end",
    busy: true,
    afterMillis: core.settings.inboxLeaseMillis,
  };
}

/** The handler failed: what it published is rolled back, and the message is free for the next attempt at once. */
async function failed(
  core: Core,
  inbox: Inbox,
  claim: InboxClaim,
  lease: KeptLease,
  open: OpenTransaction,
  error: unknown,
): Promise<Consumption> {
  const closed = await open.close();
  await lease.stop();
  const fatal = FatalError.is(error);
  core.emit({ type: "consumeFailed", consumer: claim.consumer, messageId: claim.messageId, fatal, error });
  const afterwards: Promise<unknown>[] = [askInbox(core, "the inbox to release a message", () => inbox.release(claim))];
  if (closed.records.length > 0) afterwards.push(rollBack(core, closed));
  for (const result of await Promise.allSettled(afterwards)) {
    if (result.status === "rejected") core.emit({ type: "background", error: result.reason });
  }
  const reason = reasonOf(error);
  if (fatal) return { status: "dead", reason };
  const afterMillis = retryAfterOf(error);
  return { status: "retry", reason, busy: false, ...(afterMillis === undefined ? {} : { afterMillis }) };
}

/** What the transport keeps of a failure: only what a handler said on purpose; other messages may hold data or secrets. */
function reasonOf(error: unknown): string {
  if (FatalError.is(error) || RetryableError.is(error)) return error.message;
  return `the handler threw ${error instanceof Error ? error.name : typeof error}`;
}

async function rollBack(core: Core, closed: ClosedTransaction): Promise<void> {
  const decision = await askLog(core, "the log to decide", () =>
    core.store!.transactions.decide(closed.id, "rolledBack", core.clock.now()),
  );
  core.emit({ type: "decided", transactionId: closed.id, verdict: decision.verdict, by: "consumer" });
  await carryOut(core, decidedAs(decision, closed.records));
}

function retryAfterOf(error: unknown): number | undefined {
  if (!RetryableError.is(error) || error.retryAfter === undefined) return undefined;
  return parseDuration(error.retryAfter);
}
