import { pendingRecords } from "../model/barrier-row.ts";
import type { DecisionRow, DeliveryResult } from "../model/barrier-row.ts";
import { deduplicationId } from "../model/delivery.ts";
import type { RowChange } from "../ports/barrier.ts";
import type { AnyDatabase } from "../ports/database.ts";
import { askDatabase } from "./ask.ts";
import type { Core } from "./core.ts";
import { arrivals, lookAgainAfter, mayBeLost } from "./lossy.ts";
import { send, tellOfFailure } from "./send.ts";
import type { Sent } from "./send.ts";

/** What finishing rows came to. */
export interface Finished {
  /** How many deliveries the transport took. */
  readonly published: number;
  /** The transactions of which nothing is left to be sent. */
  readonly settled: ReadonlySet<string>;
}

/** How often a change that met another one is made anew from what stands there now. */
const MAX_ROUNDS = 5;
/** The largest number of rows that change in one SQL transaction. */
const ROWS_AT_ONCE = 25;

/**
 * Sends what decided transactions still have to send, all in one call of the transport, and settles their rows with each
 * delivery's result. Rejects only where the results could not be written: then everything is sent again later, which is
 * harmless.
 *
 * What a channel may lose is sent again, until it is done: a row with such a delivery is not settled before.
 */
export async function finishRows(core: Core, database: AnyDatabase, rows: readonly DecisionRow[]): Promise<Finished> {
  const arrived = await arrivals(core, rows);
  const outgoing = rows.flatMap((row) =>
    pendingRecords(row)
      .filter((record) => !arrived.has(deduplicationId(record)))
      .map((record) => ({
        record,
        decision: { verdict: row.verdict, decidedAt: row.decidedAt },
        attempts: Math.max(0, row.attempts - 1),
      })),
  );
  const results = await send(core, outgoing);
  const sent = new Map<string, Sent>();
  for (const [i, result] of results.entries()) {
    const { record } = outgoing[i]!;
    sent.set(deduplicationId(record), result);
    if (result.status === "later") tellOfFailure(core, record, result);
  }
  const settled = new Set<string>();
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
    await settleRows(core, database, rows.slice(at, at + ROWS_AT_ONCE), { sent, arrived }, settled);
  }
  return { published: results.filter(({ status }) => status === "accepted").length, settled };
}

/** What is known of deliveries, by deduplication id. */
interface Known {
  readonly sent: ReadonlyMap<string, Sent>;
  /** Those that are not to be sent again to a channel that may lose them. */
  readonly arrived: ReadonlySet<string>;
}

/** Writes results into rows; where a row has changed meanwhile, into what stands there now. */
async function settleRows(
  core: Core,
  database: AnyDatabase,
  rows: readonly DecisionRow[],
  known: Known,
  settled: Set<string>,
): Promise<void> {
  let left = rows;
  for (let round = 0; left.length > 0; round++) {
    const changes = left.map((row) => changeOf(core, row, known));
    const applied = await askDatabase(core, "the database to settle transactions", () =>
      database.barrier.settle(changes),
    );
    const lost: string[] = [];
    for (const [i, change] of changes.entries()) {
      if (applied[i] !== true) lost.push(change.row.transactionId);
      else {
        if (change.settled) settled.add(change.row.transactionId);
        tellOfDeaths(core, change);
      }
    }
    if (lost.length === 0 || round === MAX_ROUNDS) return;
    const found = await askDatabase(core, "the database to tell of transactions", () => database.barrier.find(lost));
    left = [...found.values()].flatMap((entry) => (entry.state === "decided" ? [entry.row] : []));
    for (const row of left) if (row.settled) settled.add(row.transactionId);
    left = left.filter((row) => !row.settled);
  }
}

/** The row with what became of its pending deliveries; a result of another epoch is none of this row's any more. */
function changeOf(core: Core, row: DecisionRow, { sent, arrived }: Known): RowChange {
  const results: Record<string, DeliveryResult> = { ...row.results };
  let dueMillis = Number.POSITIVE_INFINITY;
  for (const record of pendingRecords(row)) {
    const id = deduplicationId(record);
    const result: Sent | undefined = arrived.has(id) ? { status: "accepted" } : sent.get(id);
    if (result === undefined) dueMillis = 0;
    else if (result.status === "accepted" && !arrived.has(id) && mayBeLost(core, record))
      dueMillis = Math.min(dueMillis, lookAgainAfter(core, row, record));
    else if (result.status === "later") dueMillis = Math.min(dueMillis, result.afterMillis);
    else results[record.key] = { ...epochOf(row, record.key), ...resultOf(core, result) };
  }
  const settled = dueMillis === Number.POSITIVE_INFINITY;
  return { row, results, settled, dueMillis: settled ? 0 : dueMillis };
}

function resultOf(core: Core, sent: Exclude<Sent, { status: "later" }>): DeliveryResult {
  if (sent.status === "accepted") return { state: "published" };
  const { reason: detail, code } = sent;
  return {
    state: "dead",
    reason: "refused",
    detail,
    ...(code === undefined ? {} : { status: code }),
    buriedAt: core.clock.now(),
  };
}

function epochOf(row: DecisionRow, key: string): { readonly epoch?: string } {
  const epoch = row.results[key]?.epoch;
  return epoch === undefined ? {} : { epoch };
}

function tellOfDeaths(core: Core, { row, results }: RowChange): void {
  for (const [key, result] of Object.entries(results)) {
    if (result.state !== "dead" || row.results[key]?.state === "dead") continue;
    core.emit({ type: "dead", key, transactionId: row.transactionId, reason: result.reason });
  }
}

/** What a change of one delivery's result came to. */
export type ResultChange =
  | { readonly status: "changed"; readonly row: DecisionRow }
  /** The change was not wanted, seeing what stands there. */
  | { readonly status: "kept" }
  /** There is no such delivery in any row here. */
  | { readonly status: "absent" };

/**
 * Changes the result of one delivery, as `next` says by what stands there, and tries again where another change came
 * between. `next` answers `undefined` where there is nothing to change.
 */
export async function changeResult(
  core: Core,
  database: AnyDatabase,
  at: { readonly transactionId: string; readonly key: string },
  next: (row: DecisionRow, result: DeliveryResult | undefined) => DeliveryResult | undefined,
): Promise<ResultChange> {
  for (let round = 0; ; round++) {
    const found = await askDatabase(core, "the database to tell of a transaction", () =>
      database.barrier.find([at.transactionId]),
    );
    const entry = found.get(at.transactionId);
    if (entry?.state !== "decided" || !entry.row.records.some(({ key }) => key === at.key)) return { status: "absent" };
    const { row } = entry;
    const result = next(row, row.results[at.key]);
    if (result === undefined) return { status: "kept" };
    const results = { ...row.results, [at.key]: result };
    const settled = pendingRecords({ ...row, results }).length === 0;
    const change: RowChange = { row, results, settled, dueMillis: 0 };
    const [applied] = await askDatabase(core, "the database to change a transaction", () =>
      database.barrier.settle([change]),
    );
    if (applied === true) return { status: "changed", row: { ...row, results, settled, version: row.version + 1 } };
    if (round === MAX_ROUNDS) throw new Error(`Expected to change "${at.key}", found it changed by others each time.`);
  }
}
