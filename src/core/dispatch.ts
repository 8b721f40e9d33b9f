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

/** A decided delivery, on its way out. */
export interface Outgoing {
  readonly record: DeliveryRecord;
  readonly decidedAt: number;
  /** The sweeper's fencing token; absent for the request itself. */
  readonly token?: number;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** A record of a decided transaction, with the sweeper's claim where there is one. */
export type Decided = Omit<Outgoing, "decidedAt">;

/**
 * Carries out a decision: what was registered for it goes to the transport, what was registered against it is revoked,
 * and the log is told of each. Safe to repeat and to run twice at once: the transport knows its own earlier copy, and the
 * consumer's inbox stops what passes that.
 *
 * Resolves to how many the transport took. Never rejects: what was not recorded is due again later.
 */
export async function carryOut(core: Core, decision: Decision, records: readonly Decided[]): Promise<number> {
  const direction = decision.verdict === "committed" ? "commit" : "rollback";
  const revoked = records.filter((item) => item.record.on !== direction);
  const outgoing = records
    .filter((item) => item.record.on === direction)
    .map((item) => ({ ...item, decidedAt: decision.decidedAt }));
  const changes: DeliveryChange[] = revoked.map((item) => ({ ...claimOf(item), settled: true }));
  return dispatch(core, outgoing, changes);
}

/** Publishes deliveries, then records the results together with `changes`. Resolves to how many the transport took. */
export async function dispatch(
  core: Core,
  outgoing: readonly Outgoing[],
  changes: readonly DeliveryChange[] = [],
): Promise<number> {
  const results = await publishAll(core, outgoing);
  const outcomes: DeliveryChange[] = [];
  let accepted = 0;
  for (const [i, result] of results.entries()) {
    const item = outgoing[i]!;
    if (result.status === "accepted") accepted++;
    outcomes.push(await outcomeOf(core, item, result));
  }
  try {
    const all = [...changes, ...outcomes];
    if (all.length > 0) await askLog(core, "the log to record deliveries", () => core.store!.transactions.record(all));
  } catch (error) {
    core.emit({ type: "recordFailed", error });
    return accepted;
  }
  for (const { record } of changes)
    core.emit({ type: "revoked", key: record.key, transactionId: record.transactionId });
  return accepted;
}

async function publishAll(core: Core, outgoing: readonly Outgoing[]): Promise<readonly DispatchResult[]> {
  const { transport, settings } = core;
  if (outgoing.length === 0) return [];
  if (transport === undefined)
    return outgoing.map(() => ({ status: "retry", reason: "this service has no transport" }));
  try {
    return await askTransport(core, "the transport to take deliveries", () =>
      transport.publish(
        outgoing.map(({ record, decidedAt }) => ({
          record,
          body: stampEnvelope(record.body, decidedAt),
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
async function outcomeOf(core: Core, item: Outgoing, result: DispatchResult): Promise<DeliveryChange> {
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
        decidedAt: item.decidedAt,
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
export function claimOf(item: { readonly record: DeliveryRecord; readonly token?: number }): {
  readonly record: DeliveryRecord;
  readonly token?: number;
} {
  return item.token === undefined ? { record: item.record } : { record: item.record, token: item.token };
}
