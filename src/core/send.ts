import { stampEnvelope } from "../model/envelope.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import type { DispatchResult } from "../ports/transport.ts";
import { askTransport } from "./ask.ts";
import { backOff, PUBLISH_BACK_OFF } from "./back-off.ts";
import type { Core } from "./core.ts";

/** A delivery that its transaction's decision sends. */
export interface Outgoing {
  readonly record: DeliveryRecord;
  readonly decision: Decision;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** What became of one that was handed to the transport. */
export type Sent =
  | { readonly status: "accepted" }
  /** Not taken, and never will be as it is. */
  | { readonly status: "refused"; readonly reason: string; readonly code?: number }
  /** Not taken, or not known. */
  | { readonly status: "later"; readonly reason: string; readonly afterMillis: number };

/**
 * Hands deliveries to the transport, in one call. One result each, in order; never rejects. Safe to repeat and to run
 * twice at once: the transport knows its own earlier copy, and the consumer's inbox stops what passes that.
 */
export async function send(core: Core, outgoing: readonly Outgoing[]): Promise<readonly Sent[]> {
  const results = await publishAll(core, outgoing);
  return results.map((result, i) => {
    const { record, attempts } = outgoing[i]!;
    if (result.status === "accepted") {
      const { key, transactionId, topic } = record;
      core.emit({ type: "published", key, transactionId, topic, deduplicated: result.deduplicated });
      return { status: "accepted" };
    }
    return result.status === "refused" ? result : later(core, attempts, result.reason, result.afterMillis);
  });
}

/** When to try again what was not taken. */
export function later(
  core: Core,
  attempts: number,
  reason: string,
  askedMillis = 0,
): Extract<Sent, { status: "later" }> {
  const afterMillis = Math.max(askedMillis, backOff(PUBLISH_BACK_OFF, attempts, core.crypto));
  return { status: "later", reason, afterMillis };
}

/** Tells that a delivery was not taken. */
export function tellOfFailure(
  core: Core,
  { key, transactionId }: DeliveryRecord,
  sent: ReturnType<typeof later>,
): void {
  core.emit({ type: "publishFailed", key, transactionId, reason: sent.reason, retryInMillis: sent.afterMillis });
}

async function publishAll(core: Core, outgoing: readonly Outgoing[]): Promise<readonly DispatchResult[]> {
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
