import { stampEnvelope } from "../model/envelope.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { DeliveryChange } from "../ports/transaction-log.ts";
import type { DispatchResult } from "../ports/transport.ts";
import { askLog, askTransport } from "./ask.ts";
import { backOff, PUBLISH_BACK_OFF } from "./back-off.ts";
import { bury } from "./dead-letters.ts";
import type { Core } from "./core.ts";

/** A delivery whose transaction is decided. */
export interface Decided {
  readonly record: DeliveryRecord;
  readonly decision: Decision;
  /** The sweeper's fencing token; absent for the request itself. */
  readonly token?: number;
  /** How often it was tried before. */
  readonly attempts: number;
}

/**
 * Carries decisions out: what was registered for them goes to the transport in one call, what was registered against them
 * is revoked, and the log is told of each. Safe to repeat and to run twice at once: the transport knows its own earlier
 * copy, and the consumer's inbox stops what passes that.
 *
 * Resolves to how many the transport took. Never rejects: what was not recorded is due again later.
 */
export async function carryOut(core: Core, decided: readonly Decided[]): Promise<number> {
  const outgoing = decided.filter(isOutgoing);
  const revoked = decided.filter((item) => !isOutgoing(item));
  const results = await publishAll(core, outgoing);
  const changes: DeliveryChange[] = revoked.map((item) => ({ ...claimOf(item), settled: true }));
  for (const [i, result] of results.entries()) changes.push(await outcomeOf(core, outgoing[i]!, result));
  const accepted = results.filter((result) => result.status === "accepted").length;
  if (changes.length === 0) return accepted;
  try {
    await askLog(core, "the log to record deliveries", () => core.store!.transactions.record(changes));
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

async function publishAll(core: Core, outgoing: readonly Decided[]): Promise<readonly DispatchResult[]> {
  const { transport, settings } = core;
  if (outgoing.length === 0) return [];
  if (transport === undefined)
    return outgoing.map(() => ({ status: "retry", reason: "this service has no transport" }));
  try {
    return await askTransport(core, "the transport to take deliveries", () =>
      transport.publish(
        outgoing.map(({ record, decision }) => ({
          record,
          body: stampEnvelope(record.body, decision.decidedAt),
          ...(settings.failureUrl === undefined ? {} : { failureUrl: settings.failureUrl }),
        })),
      ),
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message : "the transport failed";
    return outgoing.map(() => ({ status: "retry", reason }));
  }
}

/** What the log is to know of one result; a refused delivery is buried first, so that it is never in neither place. */
async function outcomeOf(core: Core, item: Decided, result: DispatchResult): Promise<DeliveryChange> {
  const { record } = item;
  const about = { key: record.key, transactionId: record.transactionId };
  if (result.status === "accepted") {
    core.emit({ type: "published", ...about, topic: record.topic, deduplicated: result.deduplicated });
    return { ...claimOf(item), mark: "published", attempts: 0, afterMillis: confirmAfter(core, record) };
  }
  let reason = result.reason;
  if (result.status === "refused") {
    try {
      await bury(core, {
        record,
        decidedAt: item.decision.decidedAt,
        reason: "refused",
        detail: result.reason,
        ...(result.code === undefined ? {} : { status: result.code }),
        buriedAt: core.clock.now(),
      });
      return { ...claimOf(item), settled: true };
    } catch {
      reason = `${result.reason} (and the log could not bury it)`;
    }
  }
  const attempts = Math.min(item.attempts + 1, MAX_ATTEMPTS);
  const asked = result.status === "retry" ? (result.afterMillis ?? 0) : 0;
  const afterMillis = Math.max(asked, backOff(PUBLISH_BACK_OFF, item.attempts, core.crypto));
  core.emit({ type: "publishFailed", ...about, reason, retryInMillis: afterMillis });
  return { ...claimOf(item), mark: "half", attempts, afterMillis };
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
