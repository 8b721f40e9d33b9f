import { UndecodableError } from "../../src/errors.ts";
import { decodeMessages, decodeResults, encodeMessages } from "../../src/model/barrier-row.ts";
import type { DecisionRow } from "../../src/model/barrier-row.ts";
import { utf8Length } from "../../src/model/bytes.ts";
import type { FoundRow } from "../../src/ports/barrier.ts";
import type { NewDecision } from "../../src/ports/database.ts";
import type { Dialect } from "./dialect.ts";
import { sql } from "./statement.ts";
import type { SqlStatement } from "./statement.ts";

/** What is read of a row. Aliases of one plain word pass through every ORM's renaming of columns unchanged. */
export function columns({ now }: Dialect): string {
  return `transaction_id AS id, kind, verdict, source, messages, created, due, attempts, results, version, settled,
    CASE WHEN due <= ${now} THEN 1 ELSE 0 END AS overdue`;
}

/** Holds for rows of a transaction without a decision: an intent may stand open beside a decision that is not settled. */
export const UNDECIDED =
  "NOT EXISTS (SELECT 1 FROM aftercommit_barrier AS d WHERE d.transaction_id = aftercommit_barrier.transaction_id AND d.kind = 'decision')";

/** The same, for databases that lock what such a subquery reads: a decision that is being committed is not waited for. */
export const UNDECIDED_UNLESS_LOCKED =
  "(SELECT COUNT(*) FROM aftercommit_barrier AS d WHERE d.transaction_id = aftercommit_barrier.transaction_id AND d.kind = 'decision' FOR UPDATE SKIP LOCKED) = 0";

/** A row as a driver gives it; numbers may be texts or bigints. */
export type Row = Readonly<Record<string, unknown>>;

/** What the column of sources holds in every dialect. */
const MAX_SOURCE_BYTES = 2_048;

/** A source as it is written. One that does not fit is refused: a database that cut it off would hide the row from every sweep. */
export function sourceOf(source: string): string {
  if (utf8Length(source) <= MAX_SOURCE_BYTES) return source;
  throw new RangeError(`Expected a source of at most ${MAX_SOURCE_BYTES} bytes, found a longer one. Configure one.`);
}

/** The plain INSERT of the user's decision: it fails where there is another, at every level of isolation. */
export function insertDecision(dialect: Dialect, decision: NewDecision): SqlStatement {
  return sql(
    `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
     VALUES (?, 'decision', 'committed', ?, ?, ?, ${dialect.now} + ${dialect.integer})`,
    decision.transactionId,
    sourceOf(decision.source),
    encodeMessages(decision.records),
    decision.at,
    decision.dueMillis,
  );
}

/** The decision of a row of kind `decision`. */
export function decodeDecision(row: Row): DecisionRow {
  return {
    transactionId: textOf(row.id),
    verdict: row.verdict === "committed" ? "committed" : "rolledBack",
    decidedAt: Number(row.created),
    source: textOf(row.source),
    records: decodeMessages(textOf(row.messages)),
    results: decodeResults(row.results === null || row.results === undefined ? null : textOf(row.results)),
    attempts: Number(row.attempts),
    version: Number(row.version),
    settled: row.settled !== null && row.settled !== undefined,
  };
}

function isOverdue(row: Row): boolean {
  return Number(row.overdue) === 1;
}

/** What a transaction's rows tell. */
export function foundOf(rows: readonly Row[]): FoundRow | undefined {
  const decision = rows.find(({ kind }) => kind === "decision");
  const intent = rows.find(({ kind }) => kind === "intent");
  try {
    if (decision !== undefined)
      return { state: "decided", row: decodeDecision(decision), overdue: isOverdue(decision) };
    if (intent === undefined) return undefined;
    return {
      state: "intended",
      records: decodeMessages(textOf(intent.messages)),
      overdue: isOverdue(intent),
    };
  } catch (error) {
    if (error instanceof UndecodableError) return { state: "undecodable" };
    throw error;
  }
}

/** The rows of each transaction. */
export function byTransaction(rows: readonly Row[]): ReadonlyMap<string, readonly Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const id = textOf(row.id);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [row]);
    else group.push(row);
  }
  return groups;
}

/** MySQL gives binary columns as bytes. */
export function textOf(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);
}
