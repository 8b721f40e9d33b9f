import { FatalError, RetryableError } from "../errors.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { parseDuration } from "../model/duration.ts";
import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { askInbox, askLog } from "./ask.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import { dropUncertain } from "./decide.ts";
import { carryOut, decidedAs } from "./dispatch.ts";
import type { KeptLease } from "./lease.ts";
import { mayBeLost } from "./lossy.ts";
import { changeResult } from "./outbox.ts";
import { encodeOutcome } from "./outcome.ts";
import type { ClosedTransaction, OpenTransaction } from "./transaction.ts";

/** One run of a handler, and what it holds. */
export interface Run {
  readonly inbox: Inbox;
  readonly claim: InboxClaim;
  readonly lease: KeptLease;
  readonly attempt: number;
  /** The record of the delivery that it consumes, if the log or its row is shared. */
  readonly record: DeliveryRecord | undefined;
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

/** The handler succeeded: the outcome and the decision about what it published are one act where log and inbox are one store. */
export async function completeRun(
  core: Core,
  run: Run,
  open: OpenTransaction,
  returned: unknown,
): Promise<Consumption> {
  const { inbox, claim, lease, attempt, record } = run;
  const outcome = encodeOutcome(core, returned);
  const closed = await open.close();
  await lease.stop();
  const at = core.clock.now();
  const published = closed.records.length > 0 || closed.uncertain.length > 0;
  const child = published ? { transactionId: closed.id, at } : undefined;
  const oneStore = core.store?.inbox === inbox;
  if (published) await dropUncertain(core, closed);
  if (child !== undefined && !oneStore) {
    const decision = await askLog(core, "the log to decide", () =>
      logOf(core).transactions.decide(closed.id, "committed", at),
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
  core.emit({ type: "consumed", consumer: claim.consumer, messageId: claim.messageId, attempt });
  return {
    status: "ack",
    duplicate: false,
    outcome,
    afterwards: async () => {
      await Promise.all([
        markDelivered(core, record),
        child === undefined
          ? undefined
          : carryOut(core, decidedAs({ verdict: "committed", decidedAt: at }, closed.records)),
      ]);
    },
  };
}

/** Tells a shared log that the delivery has arrived, so that its payload may go; if this is lost, the sweep finds out. */
export async function markDelivered(core: Core, record: DeliveryRecord | undefined): Promise<void> {
  if (record === undefined) return;
  if (record.database !== undefined) return markDeliveredInRow(core, record);
  if (core.store === undefined) return;
  try {
    await askLog(core, "the log to record a delivery", () =>
      logOf(core).transactions.record([{ record, settled: true }]),
    );
    core.emit({ type: "delivered", key: record.key, transactionId: record.transactionId });
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

/** What a row carries is settled as soon as it is sent, but for what its channel may lose. */
async function markDeliveredInRow(core: Core, record: DeliveryRecord): Promise<void> {
  const { database, epoch } = record;
  if (database === undefined || !core.databases.has(database) || !mayBeLost(core, record)) return;
  try {
    const changed = await withDatabase(core, database, (opened) =>
      changeResult(core, opened, record, (_, result) =>
        result !== undefined && (result.state !== "half" || result.epoch !== epoch)
          ? undefined
          : { state: "published", ...(epoch === undefined ? {} : { epoch }) },
      ),
    );
    if (changed.status === "changed")
      core.emit({ type: "delivered", key: record.key, transactionId: record.transactionId });
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

export function lostLease(core: Core, claim: InboxClaim): Consumption {
  core.emit({ type: "leaseLost", consumer: claim.consumer, messageId: claim.messageId });
  return {
    status: "retry",
    reason: "the lease was lost before the end",
    busy: true,
    afterMillis: core.settings.inboxLeaseMillis,
  };
}

/** The handler failed: what it published is rolled back, and the message is free for the next attempt at once. */
export async function failRun(core: Core, run: Run, open: OpenTransaction, error: unknown): Promise<Consumption> {
  const closed = await open.close();
  return endFailed(core, run, error, closed.records.length === 0 ? undefined : () => rollBack(core, closed));
}

/** Frees the message for the next attempt, undoes what the handler published, and says what the transport is to do. */
export async function endFailed(
  core: Core,
  { inbox, claim, lease }: Run,
  error: unknown,
  undo: (() => Promise<void>) | undefined,
): Promise<Consumption> {
  await lease.stop();
  const fatal = FatalError.is(error);
  core.emit({ type: "consumeFailed", consumer: claim.consumer, messageId: claim.messageId, fatal, error });
  const afterwards: Promise<unknown>[] = [askInbox(core, "the inbox to release a message", () => inbox.release(claim))];
  if (undo !== undefined) afterwards.push(undo());
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
    logOf(core).transactions.decide(closed.id, "rolledBack", core.clock.now()),
  );
  core.emit({ type: "decided", transactionId: closed.id, verdict: decision.verdict, by: "consumer" });
  await carryOut(core, decidedAs(decision, closed.records));
}

function retryAfterOf(error: unknown): number | undefined {
  if (!RetryableError.is(error) || error.retryAfter === undefined) return undefined;
  return parseDuration(error.retryAfter);
}
