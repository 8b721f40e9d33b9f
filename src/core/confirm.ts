import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, DeliveryChange } from "../ports/transaction-log.ts";
import { askLog, askTransport } from "./ask.ts";
import { backOff, CONFIRM_BACK_OFF } from "./back-off.ts";
import { bury, isDone } from "./dead-letters.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";

/**
 * Finds out whether sent deliveries arrived, from the transport's event log: a consumer that shares our log says so
 * itself, every other one does not know us. What the event log does not tell yet stays, and is looked for again.
 *
 * Resolves to how many arrived.
 */
export async function confirm(core: Core, claims: readonly Claim[]): Promise<number> {
  const reports = core.transport?.reports;
  const outcomes =
    reports === undefined
      ? new Map<string, never>()
      : await askTransport(core, "the transport to tell of deliveries", () =>
          reports.outcomes(claims.map((claim) => deduplicationId(claim.record))),
        );
  const changes: DeliveryChange[] = [];
  const delivered: DeliveryRecord[] = [];
  for (const claim of claims) {
    const { record, token } = claim;
    const outcome = outcomes.get(deduplicationId(record)) ?? "pending";
    if (outcome === "pending") {
      const schedule = { ...CONFIRM_BACK_OFF, firstMillis: core.settings.confirmAfterMillis };
      const afterMillis = backOff(schedule, claim.attempts, core.crypto);
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
  await askLog(core, "the log to record deliveries", () => logOf(core).transactions.record(changes));
  for (const { key, transactionId } of delivered) core.emit({ type: "delivered", key, transactionId });
  return delivered.length;
}

/** The failure route has not been called, or not yet; its account of the failure stands, whichever comes first. */
async function buryUnreported(core: Core, { record, dueAt }: Claim): Promise<void> {
  const id = record.transactionId;
  const decisions = await askLog(core, "the log to tell decisions", () => logOf(core).transactions.decisions([id]));
  await bury(core, {
    record,
    decidedAt: record.decidedAt ?? decisions.get(id)?.decidedAt ?? dueAt,
    reason: "failed",
    detail: "the transport's event log says that its retries are used up",
    buriedAt: core.clock.now(),
  });
}
