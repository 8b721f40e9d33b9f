import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { DeliveryChange } from "../ports/transaction-log.ts";
import { askLog } from "./ask.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { bury } from "./dead-letters.ts";
import { later, send, tellOfFailure } from "./send.ts";
import type { Outgoing, Sent } from "./send.ts";

/** A delivery whose transaction is decided, and which the log keeps. */
export interface Decided extends Outgoing {
  /** The sweeper's fencing token; absent for the request itself. */
  readonly token?: number;
}

/**
 * Carries decisions out: what was registered for them goes to the transport in one call, what was registered against them
 * is revoked, and the log is told of each.
 *
 * Resolves to how many the transport took. Never rejects: what was not recorded is due again later.
 */
export async function carryOut(core: Core, decided: readonly Decided[]): Promise<number> {
  const outgoing = decided.filter(isOutgoing);
  const revoked = decided.filter((item) => !isOutgoing(item));
  const results = await send(core, outgoing);
  const changes: DeliveryChange[] = revoked.map((item) => ({ ...claimOf(item), settled: true }));
  for (const [i, result] of results.entries()) changes.push(await changeOf(core, outgoing[i]!, result));
  const accepted = results.filter((result) => result.status === "accepted").length;
  if (changes.length === 0) return accepted;
  try {
    await askLog(core, "the log to record deliveries", () => logOf(core).transactions.record(changes));
  } catch (error) {
    core.emit({ type: "recordFailed", error });
    return accepted;
  }
  for (const { record } of revoked)
    core.emit({ type: "revoked", key: record.key, transactionId: record.transactionId });
  return accepted;
}

/** The records of one transaction, as its request carries its decision out. */
export function decidedAs(decision: Decision, records: readonly DeliveryRecord[]): readonly Decided[] {
  return records.map((record) => ({ record, decision, attempts: 0 }));
}

function isOutgoing({ record, decision }: Decided): boolean {
  return (decision.verdict === "committed") === (record.on === "commit");
}

/** What the log is to know of one result; a refused delivery is buried first, so that it is never in neither place. */
async function changeOf(core: Core, item: Decided, sent: Sent): Promise<DeliveryChange> {
  const { record } = item;
  if (sent.status === "accepted")
    return { ...claimOf(item), mark: "published", attempts: 0, afterMillis: confirmAfter(core, record) };
  let again = sent;
  if (again.status === "refused") {
    try {
      await bury(core, {
        record,
        decidedAt: item.decision.decidedAt,
        reason: "refused",
        detail: again.reason,
        ...(again.code === undefined ? {} : { status: again.code }),
        buriedAt: core.clock.now(),
      });
      return { ...claimOf(item), settled: true };
    } catch {
      again = later(core, item.attempts, `${again.reason} (and the log could not bury it)`);
    }
  }
  tellOfFailure(core, record, again);
  const attempts = Math.min(item.attempts + 1, MAX_ATTEMPTS);
  return { ...claimOf(item), mark: "half", attempts, afterMillis: again.afterMillis };
}

/** A delivery that is meant to wait is looked for only when it has left. */
function confirmAfter(core: Core, record: DeliveryRecord): number {
  const wait = Math.max(0, (record.send.notBefore ?? 0) - core.clock.now());
  return wait + core.settings.confirmAfterMillis;
}

/** The record, with the claim under which it may be changed. */
function claimOf(item: { readonly record: DeliveryRecord; readonly token?: number }): {
  readonly record: DeliveryRecord;
  readonly token?: number;
} {
  return item.token === undefined ? { record: item.record } : { record: item.record, token: item.token };
}
