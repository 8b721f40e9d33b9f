import { deliveryRecord } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { AnyDatabase } from "../ports/database.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, DeliveryChange } from "../ports/transaction-log.ts";
import { askDatabase, askLog } from "./ask.ts";
import { backOff, CHECK_BACK_OFF } from "./back-off.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import { checkBackIntent } from "./check-back-intent.ts";
import { finishRows } from "./outbox.ts";

/** How long a hint waits that only another deployment can follow. */
const FOREIGN_MILLIS = 300_000;

/** A hint is given before its row is written, and looked at when that is due. */
const LATER_THAN_ITS_ROW = 1.2;

/** A note in the log that a transaction may need to be looked after in a database. It decides nothing, and may be lost. */
export interface Hint {
  /** Resolves when it has been given, or could not be. Never rejects. */
  readonly given: Promise<unknown>;
  /** Takes it back, once it has been given. Never rejects. */
  drop(): Promise<void>;
}

/**
 * Gives a hint, and arms the watchdog. The request does not wait for either, and a log that is out of reach is no reason to
 * refuse anything.
 */
export function giveHint(core: Core, transactionId: string, database: string): Hint {
  const { store } = core;
  const tell = (error: unknown) => core.emit({ type: "hintFailed", transactionId, error });
  const record = hintRecord(core, transactionId, database);
  const armed = core.armWatchdog().catch(tell);
  const kept =
    store === undefined
      ? Promise.resolve(false)
      : askLog(core, "the log to keep a hint", () => store.transactions.prepare([record])).then(() => true, refused);

  function refused(error: unknown): boolean {
    tell(error);
    return false;
  }

  return {
    given: Promise.all([kept, armed]),
    async drop() {
      if (store === undefined || !(await kept)) return;
      const change = { record, settled: true as const };
      await askLog(core, "the log to drop a hint", () => store.transactions.record([change])).catch(tell);
    },
  };
}

/** A record without a message: the log keeps it, and makes it due, as it does with a half message. */
function hintRecord(core: Core, transactionId: string, database: string): DeliveryRecord {
  const facts = {
    transactionId,
    index: 0,
    // Only a sweeper of the same deployment follows it.
    destination: core.settings.source,
    destinationHash: "0".repeat(16),
    topic: "",
    messageId: transactionId,
    on: "commit" as const,
    database,
    deadlineMillis: core.settings.resumeAfterMillis * LATER_THAN_ITS_ROW,
    send: {},
  };
  return deliveryRecord(facts, "");
}

/** Whether a record of the log is a hint. Messages whose database decides are kept there and not in the log. */
export function isHint(record: DeliveryRecord): boolean {
  return record.database !== undefined && record.topic === "";
}

/** Looks after the transactions that hints name: finishes what is decided, and decides what is overdue. */
export async function followHints(core: Core, claims: readonly Claim[]): Promise<number> {
  let published = 0;
  const changes: DeliveryChange[] = [];
  for (const [name, group] of byDatabase(claims)) {
    const own = group.filter(({ record }) => core.databases.has(name) && record.destination === core.settings.source);
    for (const claim of group) if (!own.includes(claim)) changes.push(again(claim, FOREIGN_MILLIS, claim.attempts));
    if (own.length === 0) continue;
    try {
      published += await withDatabase(core, name, (database) => followOwn(core, database, own, changes));
    } catch (error) {
      core.emit({ type: "recordFailed", error });
    }
  }
  await askLog(core, "the log to record hints", () => logOf(core).transactions.record(changes));
  return published;
}

async function followOwn(
  core: Core,
  database: AnyDatabase,
  claims: readonly Claim[],
  changes: DeliveryChange[],
): Promise<number> {
  const ids = claims.map(({ record }) => record.transactionId);
  const found = await askDatabase(core, "the database to tell of transactions", () => database.barrier.find(ids));
  const rows = [];
  for (const [id, entry] of found) {
    // What is not due yet is in its request's hands, or waits for the transport.
    if (entry.state === "undecodable" || !entry.overdue) continue;
    if (entry.state === "decided") {
      if (!entry.row.settled) rows.push(entry.row);
      continue;
    }
    const row = await checkBackIntent(core, database, id);
    if (row !== undefined) rows.push(row);
  }
  const finished = await finishRows(core, database, rows);
  for (const claim of claims) {
    const { transactionId } = claim.record;
    const entry = found.get(transactionId);
    const done = finished.settled.has(transactionId) || (entry?.state === "decided" && entry.row.settled);
    // Nothing is decided by absence: what is not there by the end of the longest request is found by the audit, if ever.
    const gone = entry === undefined && claim.attempts > 0;
    if (done || gone) changes.push({ record: claim.record, token: claim.token, settled: true });
    else {
      const wait = entry === undefined || entry.state === "intended" ? core.settings.deadlineMillis : 0;
      changes.push(
        again(claim, Math.max(wait, backOff(CHECK_BACK_OFF, claim.attempts, core.crypto)), claim.attempts + 1),
      );
    }
  }
  return finished.published;
}

function again({ record, token }: Claim, afterMillis: number, attempts: number): DeliveryChange {
  return { record, token, mark: "half", attempts: Math.min(attempts, MAX_ATTEMPTS), afterMillis };
}

function byDatabase(claims: readonly Claim[]): ReadonlyMap<string, readonly Claim[]> {
  const groups = new Map<string, Claim[]>();
  for (const claim of claims) {
    const name = claim.record.database!;
    groups.set(name, [...(groups.get(name) ?? []), claim]);
  }
  return groups;
}
