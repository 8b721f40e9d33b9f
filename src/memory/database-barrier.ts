import { deadCount } from "../model/barrier-row.ts";
import type { DecisionRow } from "../model/barrier-row.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Barrier, FoundRow } from "../ports/barrier.ts";
import type { Clock } from "../ports/clock.ts";
import type { NewDecision } from "../ports/database.ts";
import { INBOX } from "./database-inbox.ts";
import type { InboxRow } from "./database-inbox.ts";
import type { Rows, RowsTransaction } from "./database-rows.ts";

/** How long a check-back waits for a decision that is being committed. */
const PATIENCE_MILLIS = 2_000;

/** Runs one of our operations as a transaction of its own. */
export type Operate = <T>(work: (tx: RowsTransaction) => T, before?: () => Promise<void>) => Promise<T>;

/** What a rollback sends; open until there is a decision. */
export interface IntentRow {
  readonly transactionId: string;
  readonly source: string;
  readonly records: readonly DeliveryRecord[];
  readonly sequence: number;
  readonly due: number;
  readonly claim?: string;
}

/** A decision, and when it is to be looked at. */
export interface StoredDecision {
  readonly row: DecisionRow;
  readonly due: number;
  readonly claim?: string;
  readonly settledAt?: number;
}

/** The prefixes of keys. */
export const INTENT = "intent/";
export const DECISION = "decision/";

/** The row of a decision of the user's. */
export function decisionRow(
  { transactionId, source, records, at, dueMillis }: NewDecision,
  now: number,
): StoredDecision {
  return storedDecision({ transactionId, source, records }, "committed", at, now + dueMillis);
}

function storedDecision(
  { transactionId, source, records }: Pick<DecisionRow, "transactionId" | "source" | "records">,
  verdict: DecisionRow["verdict"],
  decidedAt: number,
  due: number,
): StoredDecision {
  const row = {
    transactionId,
    verdict,
    decidedAt,
    source,
    records,
    results: {},
    attempts: 0,
    version: 0,
    settled: false,
  };
  return { row, due };
}

/** The barrier of a memory database: an intent is kept until its decision is cleaned up. */
export function memoryBarrier(rows: Rows, operate: Operate, clock: Clock): Barrier {
  const intentOf = (tx: RowsTransaction, id: string) => tx.get(INTENT + id) as IntentRow | undefined;
  const decisionOf = (tx: RowsTransaction, id: string) => tx.get(DECISION + id) as StoredDecision | undefined;

  return {
    intend: ({ transactionId, source, records, sequence, dueMillis }) =>
      operate((tx) => {
        if (decisionOf(tx, transactionId) !== undefined) return false;
        const standing = intentOf(tx, transactionId);
        if (standing !== undefined && standing.sequence >= sequence) return standing.sequence === sequence;
        const due = standing?.due ?? clock.now() + dueMillis;
        tx.put(INTENT + transactionId, { ...standing, transactionId, source, records, sequence, due });
        return true;
      }),

    rollBack: (transactionId, at, dueMillis) =>
      operate(
        (tx) => {
          const intent = intentOf(tx, transactionId);
          const standing = decisionOf(tx, transactionId);
          if (standing !== undefined || intent === undefined) return standing?.row;
          const decision = storedDecision(intent, "rolledBack", at, clock.now() + dueMillis);
          tx.put(DECISION + transactionId, decision);
          return decision.row;
        },
        () => patiently(rows, DECISION + transactionId, clock),
      ),

    find: (transactionIds) =>
      operate((tx) => {
        const found = transactionIds.map(
          (id) => [id, foundRow(decisionOf(tx, id), intentOf(tx, id), clock.now())] as const,
        );
        return new Map(found.filter((entry): entry is [string, FoundRow] => entry[1] !== undefined));
      }),

    claimUnsettled: ({ source, limit, leaseMillis, token }) =>
      operate((tx) => {
        const now = clock.now();
        const due = unsettled(tx, source).filter((entry) => entry.due <= now);
        for (const { key, stored } of due.slice(0, limit)) {
          const claim = { due: now + leaseMillis, claim: token };
          if ("row" in stored) {
            const { attempts, version } = stored.row;
            tx.put(key, { ...stored, ...claim, row: { ...stored.row, attempts: attempts + 1, version: version + 1 } });
          } else tx.put(key, { ...stored, ...claim });
        }
        const claimed = unsettled(tx, source).flatMap(({ stored }) => (stored.claim === token ? [stored] : []));
        return {
          decided: claimed.flatMap((stored) => ("row" in stored ? [stored.row] : [])),
          intended: claimed.flatMap((stored) => ("row" in stored ? [] : [stored.transactionId])),
          undecodable: [],
          more: claimed.length >= limit,
        };
      }),

    settle: (changes) =>
      operate((tx) =>
        changes.map(({ row: { transactionId, version }, results, settled, dueMillis }) => {
          const standing = decisionOf(tx, transactionId);
          if (standing === undefined || standing.row.version !== version) return false;
          const { settledAt: _, ...rest } = standing;
          const row = { ...standing.row, results, settled, version: version + 1 };
          const settledAt = settled ? { settledAt: clock.now() } : {};
          tx.put(DECISION + transactionId, { ...rest, row, due: clock.now() + dueMillis, ...settledAt });
          return true;
        }),
      ),

    cleanUp: ({ source, retentionMillis, limit }) =>
      operate((tx) => {
        const cutoff = clock.now() - retentionMillis;
        const old = (tx.list(DECISION) as [string, StoredDecision][])
          .filter(
            ([, { row, settledAt }]) =>
              row.source === source && deadCount(row.results) === 0 && settledAt !== undefined,
          )
          .filter(([, { settledAt }]) => settledAt! <= cutoff)
          .sort(([, a], [, b]) => a.settledAt! - b.settledAt!)
          .slice(0, limit)
          .flatMap(([key, { row }]) =>
            intentOf(tx, row.transactionId) === undefined ? [key] : [key, INTENT + row.transactionId],
          );
        const forgotten = (tx.list(INBOX) as [string, InboxRow][])
          .filter(([, { until }]) => until <= clock.now())
          .sort(([, a], [, b]) => a.until - b.until)
          .slice(0, limit)
          .map(([key]) => key);
        for (const key of [...old, ...forgotten]) tx.delete(key);
        return old.length + forgotten.length;
      }),
  };
}

/** What is not settled of a source, each transaction once, soonest due first. */
export function unsettled(
  tx: RowsTransaction,
  source: string,
): { readonly key: string; readonly due: number; readonly stored: IntentRow | StoredDecision }[] {
  const decisions = tx.list(DECISION) as [string, StoredDecision][];
  const decided = new Set(decisions.map(([, { row }]) => row.transactionId));
  const intents = (tx.list(INTENT) as [string, IntentRow][]).filter(
    ([, intent]) => intent.source === source && !decided.has(intent.transactionId),
  );
  return [...decisions.filter(([, { row }]) => row.source === source && !row.settled), ...intents]
    .map(([key, stored]) => ({ key, due: stored.due, stored }))
    .sort((a, b) => a.due - b.due);
}

/** What a transaction's rows tell. */
export function foundRow(
  decision: StoredDecision | undefined,
  intent: IntentRow | undefined,
  now: number,
): FoundRow | undefined {
  if (decision !== undefined) return { state: "decided", row: decision.row, overdue: decision.due <= now };
  return intent && { state: "intended", records: intent.records, overdue: intent.due <= now };
}

/** Waits a little for the transaction that is writing a row; where it is open still, writing the row fails. */
async function patiently(rows: Rows, key: string, clock: Clock): Promise<void> {
  const ended = rows.held(key);
  if (ended === undefined) return;
  const waiting = new AbortController();
  await Promise.race([ended, clock.sleep(PATIENCE_MILLIS, waiting.signal)]);
  waiting.abort();
}
