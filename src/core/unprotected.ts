import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import { askLog } from "./ask.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { bury } from "./dead-letters.ts";
import { send, tellOfFailure } from "./send.ts";

/** How often what only memory holds is handed to the transport. */
const ATTEMPTS = 4;

/**
 * Sends what no store holds, and tries a few times; what is left then is lost, and told of. The log, which may hold some of
 * it all the same, is told of the decision if it answers by then.
 */
export async function sendUnprotected(
  core: Core,
  transactionId: string,
  records: readonly DeliveryRecord[],
  decision: Decision,
): Promise<void> {
  let left = records;
  for (let attempt = 0; left.length > 0 && attempt < ATTEMPTS; attempt++) {
    const results = await send(
      core,
      left.map((record) => ({ record, decision, attempts: attempt })),
    );
    const again: DeliveryRecord[] = [];
    let waitMillis = 0;
    for (const [i, result] of results.entries()) {
      const record = left[i]!;
      if (result.status === "refused") await buryIfPossible(core, record, decision, result);
      if (result.status !== "later") continue;
      tellOfFailure(core, record, result);
      again.push(record);
      waitMillis = Math.max(waitMillis, result.afterMillis);
    }
    left = again;
    if (left.length > 0 && attempt + 1 < ATTEMPTS) await core.clock.sleep(waitMillis);
  }
  if (left.length > 0) core.emit({ type: "lost", transactionId, deliveries: left.length });
  try {
    await askLog(core, "the log to decide", () =>
      logOf(core).transactions.decide(transactionId, decision.verdict, decision.decidedAt),
    );
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

async function buryIfPossible(
  core: Core,
  record: DeliveryRecord,
  decision: Decision,
  refusal: { readonly reason: string; readonly code?: number },
): Promise<void> {
  try {
    await bury(core, {
      record,
      decidedAt: decision.decidedAt,
      reason: "refused",
      detail: refusal.reason,
      ...(refusal.code === undefined ? {} : { status: refusal.code }),
      buriedAt: core.clock.now(),
    });
  } catch (error) {
    core.emit({ type: "recordFailed", error });
    core.emit({ type: "lost", transactionId: record.transactionId, deliveries: 1 });
  }
}
