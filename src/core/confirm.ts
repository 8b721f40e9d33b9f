import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { addressOf } from "../model/destination.ts";
import type { Decision } from "../model/states.ts";
import type { DeliveryOutcome } from "../ports/transport.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, DeliveryChange } from "../ports/transaction-log.ts";
import { askLog, askTransport } from "./ask.ts";
import { backOff, CONFIRM_BACK_OFF } from "./back-off.ts";
import { bury } from "./dead-letters.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { isDone } from "./is-done.ts";
import { send } from "./send.ts";

/**
 * Finds out whether sent deliveries arrived, from the transport's event log: a consumer that shares our log says so
 * itself, every other one does not know us. What the event log does not tell yet stays, and is looked for again.
 *
 * A channel has no event log. What went into one is asked of the inboxes that can be read here, and is sent again where
 * they do not know it as done, with growing waits, for as long as a transport may go on retrying.
 *
 * Resolves to how many arrived.
 */
export async function confirm(core: Core, claims: readonly Claim[]): Promise<number> {
  const outcomes = await outcomesOf(core, claims);
  const changes: DeliveryChange[] = [];
  const delivered: DeliveryRecord[] = [];
  const silent: DeliveryRecord[] = [];
  for (const [i, claim] of claims.entries()) {
    const { record, token } = claim;
    const outcome = outcomes[i]!;
    if (outcome === "pending") {
      const schedule = { ...CONFIRM_BACK_OFF, firstMillis: core.settings.confirmAfterMillis };
      const afterMillis = backOff(schedule, claim.attempts, core.crypto);
      if (addressOf(record.destination) !== undefined) silent.push(record);
      changes.push({
        record,
        token,
        mark: "published",
        attempts: Math.min(claim.attempts + 1, MAX_ATTEMPTS),
        afterMillis,
      });
      continue;
    }
    const arrived = outcome === "delivered" || (await isDone(core, record.destination, record.messageId));
    if (arrived) delivered.push(record);
    else await buryUnreported(core, claim);
    changes.push({ record, token, settled: true });
  }
  await sendAgain(core, silent);
  await askLog(core, "the log to record deliveries", () => logOf(core).transactions.record(changes));
  for (const { key, transactionId } of delivered) core.emit({ type: "delivered", key, transactionId });
  return delivered.length;
}

/** What is known of each, in order. */
async function outcomesOf(core: Core, claims: readonly Claim[]): Promise<readonly DeliveryOutcome[]> {
  const reports = core.transport?.reports;
  const told = claims.filter(({ record }) => addressOf(record.destination) === undefined);
  const outcomes =
    reports === undefined || told.length === 0
      ? new Map<string, never>()
      : await askTransport(core, "the transport to tell of deliveries", () =>
          reports.outcomes(told.map((claim) => deduplicationId(claim.record))),
        );
  const found: DeliveryOutcome[] = [];
  for (const { record } of claims) {
    if (addressOf(record.destination) === undefined) found.push(outcomes.get(deduplicationId(record)) ?? "pending");
    else found.push((await isKnownAsDone(core, record)) ? "delivered" : "pending");
  }
  return found;
}

/** An inbox that does not answer keeps the other deliveries from nothing. */
function isKnownAsDone(core: Core, record: DeliveryRecord): Promise<boolean> {
  return isDone(core, record.destination, record.messageId).catch(() => false);
}

/** A copy too many is stopped by the inbox; what is not taken now is looked at again anyway. */
async function sendAgain(core: Core, records: readonly DeliveryRecord[]): Promise<void> {
  if (records.length === 0) return;
  const decisions = await decisionsOf(core, records);
  const since = core.clock.now() - core.settings.retryHorizonMillis;
  const outgoing = records.flatMap((record) => {
    const decision = decisions.get(record.transactionId);
    const decidedAt = record.decidedAt ?? decision?.decidedAt;
    if (decidedAt === undefined || Math.max(decidedAt, record.send.notBefore ?? 0) < since) return [];
    const verdict = record.on === "commit" ? ("committed" as const) : ("rolledBack" as const);
    return [{ record, decision: { verdict, decidedAt }, attempts: 0 }];
  });
  await send(core, outgoing);
}

function decisionsOf(core: Core, records: readonly DeliveryRecord[]): Promise<ReadonlyMap<string, Decision>> {
  const ids = [...new Set(records.map(({ transactionId }) => transactionId))];
  return askLog(core, "the log to tell decisions", () => logOf(core).transactions.decisions(ids));
}

/** The failure route has not been called, or not yet; its account of the failure stands, whichever comes first. */
async function buryUnreported(core: Core, { record, dueAt }: Claim): Promise<void> {
  const decisions = await decisionsOf(core, [record]);
  await bury(core, {
    record,
    decidedAt: record.decidedAt ?? decisions.get(record.transactionId)?.decidedAt ?? dueAt,
    reason: "failed",
    detail: "the transport's event log says that its retries are used up",
    buriedAt: core.clock.now(),
  });
}
