import { currentRecord } from "../model/barrier-row.ts";
import type { DeathCertificate, DecisionRow } from "../model/barrier-row.ts";
import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { DeadLetter } from "../ports/dead-letters.ts";
import { askDatabase } from "./ask.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import { changeResult, finishRows } from "./outbox.ts";

/** A delivery whose decision row holds it. */
export interface RowDelivery {
  /** The name of the database. */
  readonly database: string;
  readonly row: DecisionRow;
  /** The delivery as it was last sent, or is to be sent. */
  readonly record: DeliveryRecord;
}

/** The row that holds a delivery. A record that names its database is looked for there alone. */
export async function rowDelivery(
  core: Core,
  { key, transactionId, database }: Pick<DeliveryRecord, "key" | "transactionId" | "database">,
): Promise<RowDelivery | undefined> {
  const names =
    database === undefined ? [...core.databases.keys()] : [database].filter((name) => core.databases.has(name));
  for (const name of names) {
    const found = await withDatabase(core, name, (opened) =>
      askDatabase(core, "the database to tell of a transaction", () => opened.barrier.find([transactionId])),
    );
    const entry = found.get(transactionId);
    const record =
      entry?.state === "decided" ? entry.row.records.find((candidate) => candidate.key === key) : undefined;
    if (entry?.state === "decided" && record !== undefined)
      return { database: name, row: entry.row, record: currentRecord(entry.row, record) };
  }
  return undefined;
}

/** The dead letter that a row holds. */
export function rowLetter({ row, record }: Pick<RowDelivery, "row" | "record">): DeadLetter | undefined {
  const result = row.results[record.key];
  if (result?.state !== "dead") return undefined;
  const { state: _state, epoch: _epoch, ...certificate } = result;
  return { record, decidedAt: row.decidedAt, ...certificate };
}

/** Writes into its row that a delivery is dead; `"ignored"` where that epoch of it was redriven or discarded meanwhile. */
export async function buryInRow(
  core: Core,
  { database, record }: RowDelivery,
  reported: DeliveryRecord,
  certificate: DeathCertificate,
): Promise<"buried" | "ignored"> {
  const changed = await withDatabase(core, database, (opened) =>
    changeResult(core, opened, record, (row, result) => {
      const current = currentRecord(
        row,
        row.records.find(({ key }) => key === record.key)!,
      );
      if (deduplicationId(current) !== deduplicationId(reported) || result?.state === "discarded") return undefined;
      return { ...(result?.epoch === undefined ? {} : { epoch: result.epoch }), state: "dead", ...certificate };
    }),
  );
  if (changed.status !== "changed") return "ignored";
  core.emit({ type: "dead", key: record.key, transactionId: record.transactionId, reason: certificate.reason });
  return "buried";
}

/** Sends a dead letter of a row again: its new epoch is in the row before anything is sent. `false` where it is dead no more. */
export function redriveInRow(core: Core, { database, record }: RowDelivery, epoch: string): Promise<boolean> {
  return withDatabase(core, database, async (opened) => {
    const changed = await changeResult(core, opened, record, (_, result) =>
      result?.state === "dead" ? { state: "half", epoch, at: core.clock.now() } : undefined,
    );
    if (changed.status !== "changed") return false;
    await finishRows(core, opened, [changed.row]);
    return true;
  });
}

/** Drops a dead letter of a row for good. `false` where it is dead no more. */
export async function discardInRow(core: Core, { database, record }: RowDelivery): Promise<boolean> {
  const changed = await withDatabase(core, database, (opened) =>
    changeResult(core, opened, record, (_, result) => {
      if (result?.state !== "dead") return undefined;
      return { state: "discarded", ...(result.epoch === undefined ? {} : { epoch: result.epoch }) };
    }),
  );
  return changed.status === "changed";
}

/**
 * Sends a dead letter of a row as a new message, in a row of its own. The new row comes first: a crash before the old
 * letter is dropped leaves a letter too many, and loses nothing.
 */
export async function resendFromRow(core: Core, delivery: RowDelivery, record: DeliveryRecord): Promise<boolean> {
  const { source, resumeAfterMillis } = core.settings;
  const decision = {
    transactionId: record.transactionId,
    source,
    records: [record],
    at: core.clock.now(),
    dueMillis: resumeAfterMillis,
  };
  await withDatabase(core, delivery.database, async (opened) => {
    const outcome = await askDatabase(core, "the database to keep a message", () => opened.write({ decision }));
    if (outcome.status !== "committed") throw "error" in outcome ? outcome.error : new Error(outcome.status);
    const found = await askDatabase(core, "the database to tell of a transaction", () =>
      opened.barrier.find([record.transactionId]),
    );
    const entry = found.get(record.transactionId);
    if (entry?.state === "decided") await finishRows(core, opened, [entry.row]);
  });
  return discardInRow(core, delivery);
}
