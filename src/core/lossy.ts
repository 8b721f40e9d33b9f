import { pendingRecords } from "../model/barrier-row.ts";
import type { DecisionRow } from "../model/barrier-row.ts";
import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import { addressOf } from "../model/destination.ts";
import { askLog } from "./ask.ts";
import { CONFIRM_BACK_OFF } from "./back-off.ts";
import type { Core } from "./core.ts";
import { isDone } from "./is-done.ts";

/** Whether the channel that a delivery goes to may lose it after it was taken, with the store that the channel lies in. */
export function mayBeLost({ transport }: Pick<Core, "transport">, { destination }: DeliveryRecord): boolean {
  const scheme = addressOf(destination)?.scheme;
  return scheme !== undefined && transport?.lossy?.includes(scheme) === true;
}

/**
 * Which deliveries of rows need not be sent to such a channel any more: those that an inbox which can be read here knows as
 * done, those that a consumer without this database has buried in the log, and those for which a transport would no longer
 * retry. By deduplication id. A row that nobody has changed yet was not sent before, and is not asked about.
 */
export async function arrivals(core: Core, rows: readonly DecisionRow[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const row of rows) {
    if (row.version === 0) continue;
    for (const record of pendingRecords(row)) {
      if (!mayBeLost(core, record)) continue;
      const done = await isDone(core, record.destination, record.messageId).catch(() => false);
      const over = done || (await isBuried(core, record).catch(() => false));
      if (over || ageOf(core, row, record) > core.settings.retryHorizonMillis) found.add(deduplicationId(record));
      if (done) core.emit({ type: "delivered", key: record.key, transactionId: record.transactionId });
    }
  }
  return found;
}

async function isBuried(core: Core, record: DeliveryRecord): Promise<boolean> {
  const { store } = core;
  if (store === undefined) return false;
  const letter = await askLog(core, "the log to read a dead letter", () => store.reader.deadLetter(record.key));
  return letter !== undefined && deduplicationId(letter.record) === deduplicationId(record);
}

/** When a row is looked at again whose delivery such a channel has taken: later and later. */
export function lookAgainAfter(core: Core, row: DecisionRow, record: DeliveryRecord): number {
  const { factor, mostMillis } = CONFIRM_BACK_OFF;
  const age = ageOf(core, row, record);
  const { confirmAfterMillis } = core.settings;
  return Math.max(0, -age) + Math.min(mostMillis, Math.max(confirmAfterMillis, (factor - 1) * age));
}

/** Counted from when it could be delivered, or was sent again; negative before that. */
function ageOf(core: Core, row: DecisionRow, { key, send }: DeliveryRecord): number {
  const result = row.results[key];
  const from = result?.state === "half" ? (result.at ?? core.clock.now()) : row.decidedAt;
  return core.clock.now() - Math.max(from, send.notBefore ?? 0);
}
