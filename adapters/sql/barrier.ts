import { deadCount, encodeMessages, encodeResults } from "../../src/model/barrier-row.ts";
import type { Barrier, FoundRow, RowChange } from "../../src/ports/barrier.ts";
import {
  byTransaction,
  columns,
  decodeDecision,
  foundOf,
  sourceOf,
  textOf,
  UNDECIDED,
  UNDECIDED_UNLESS_LOCKED,
} from "./barrier-rows.ts";
import type { Dialect } from "./dialect.ts";
import { deletePicked, updatePicked } from "./picked.ts";
import { places, sql } from "./statement.ts";
import type { SqlResult, SqlStatement } from "./statement.ts";

const BARRIER = "aftercommit_barrier";
const UNSETTLED = "aftercommit_barrier_unsettled";
/** D1 takes 100 values a statement. */
const MAX_IDS = 90;

/** Runs statements of ours in one transaction. */
export type Transact = (statements: readonly SqlStatement[]) => Promise<readonly SqlResult[]>;

/**
 * The barrier on a SQL database.
 *
 * A row of kind `intent` holds what a rollback sends, and is open until it is settled; the row of kind `decision` is the
 * outbox of what the verdict sends. Nothing is read in one transaction to be written in another: a change names the
 * version that it was made from.
 */
export function sqlBarrier(dialect: Dialect, transact: Transact): Barrier {
  const { now, integer } = dialect;
  const [insertIfAbsent, ifAbsent] = dialect.insertIfAbsent;

  return {
    // The whole list is written each time, by the one process that has the transaction; a write that comes late is
    // recognised by its number.
    async intend({ transactionId, source, records, at, dueMillis, sequence }) {
      const messages = encodeMessages(records);
      const [, , row] = await transact([
        sql(
          `${insertIfAbsent} aftercommit_barrier (transaction_id, kind, source, messages, created, due, version)
           SELECT ?, 'intent', ?, ?, ${integer}, ${now} + ${integer}, ${integer} ${dialect.fromNothing}
           WHERE NOT EXISTS (SELECT 1 FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'decision') ${ifAbsent}`,
          transactionId,
          sourceOf(source),
          messages,
          at,
          dueMillis,
          sequence,
          transactionId,
        ),
        sql(
          `UPDATE aftercommit_barrier SET messages = ?, version = ?
           WHERE transaction_id = ? AND kind = 'intent' AND settled IS NULL AND version < ?`,
          messages,
          sequence,
          transactionId,
          sequence,
        ),
        sql(
          `SELECT version FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'intent' AND settled IS NULL
           AND ${UNDECIDED}`,
          transactionId,
        ),
      ]);
      return row!.rows.length > 0 && Number(row!.rows[0]!.version) === sequence;
    },

    // Closing the intent locks it: what is registered later is refused, so that the decision holds all of it.
    async rollBack(transactionId, at, dueMillis) {
      const results = await transact([
        ...dialect.waitShortly(transactionId),
        sql(
          `UPDATE aftercommit_barrier SET settled = ${now}
           WHERE transaction_id = ? AND kind = 'intent' AND settled IS NULL`,
          transactionId,
        ),
        sql(
          `${insertIfAbsent} aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
           SELECT transaction_id, 'decision', 'rolledBack', source, messages, ${integer}, ${now} + ${integer}
           FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'intent' ${ifAbsent}`,
          at,
          dueMillis,
          transactionId,
        ),
        sql(
          `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'decision'`,
          transactionId,
        ),
      ]);
      const row = results.at(-1)!.rows[0];
      return row === undefined ? undefined : decodeDecision(row);
    },

    async find(transactionIds) {
      if (transactionIds.length === 0) return new Map();
      const found = await transact(
        inParts(transactionIds).map((ids) =>
          sql(
            `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE transaction_id IN (${places(ids.length)})`,
            ...ids,
          ),
        ),
      );
      const entries = [...byTransaction(found.flatMap(({ rows }) => rows))].map(
        ([id, rows]) => [id, foundOf(rows)!] as const,
      );
      return new Map<string, FoundRow>(entries);
    },

    async claimUnsettled({ source, limit, leaseMillis, token }) {
      const undecided = dialect.joinsPicked ? UNDECIDED_UNLESS_LOCKED : UNDECIDED;
      const due = {
        table: BARRIER,
        index: UNSETTLED,
        key: ["transaction_id", "kind"],
        where: sql(`source = ? AND settled IS NULL AND due <= ${now} AND (kind = 'decision' OR ${undecided})`, source),
        orderBy: "due",
        limit,
      };
      const lease = sql(
        `due = ${now} + ?, attempts = attempts + 1, claim = ?,
         version = version + CASE kind WHEN 'decision' THEN 1 ELSE 0 END`,
        Math.ceil(leaseMillis),
        token,
      );
      const [, claimed] = await transact([
        updatePicked(dialect, due, lease),
        sql(
          `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE source = ? AND settled IS NULL AND claim = ? ORDER BY due`,
          source,
          token,
        ),
      ]);
      const decided = [];
      const intended = [];
      const undecodable = [];
      for (const row of claimed!.rows) {
        if (row.kind === "intent") intended.push(textOf(row.id));
        else {
          const found = foundOf([row])!;
          if (found.state === "decided") decided.push(found.row);
          else undecodable.push(textOf(row.id));
        }
      }
      return { decided, intended, undecodable, more: claimed!.rows.length >= limit };
    },

    async settle(changes) {
      if (changes.length === 0) return [];
      const settled = changes.filter((change) => change.settled).map(({ row }) => row.transactionId);
      const results = await transact([
        ...changes.map((change) => updateRow(dialect, change)),
        ...inParts(settled).map((ids) => closeIntents(dialect, ids)),
      ]);
      return changes.map((_, i) => results[i]!.changes > 0);
    },

    async cleanUp({ source, retentionMillis, limit }) {
      const old = sql(
        `source = ? AND kind = 'decision' AND dead = 0 AND settled <= ${now} - ?`,
        source,
        Math.ceil(retentionMillis),
      );
      const results = await transact([
        deletePicked(dialect, {
          table: BARRIER,
          index: UNSETTLED,
          key: ["transaction_id"],
          where: old,
          orderBy: "settled",
          limit,
        }),
        deletePicked(dialect, {
          table: "aftercommit_inbox",
          index: "aftercommit_inbox_expires",
          key: ["consumer", "message_id", "kind"],
          where: sql(`expires <= ${now}`),
          orderBy: "expires",
          limit,
        }),
      ]);
      return results.reduce((sum, { changes }) => sum + changes, 0);
    },
  };
}

function updateRow({ now, integer }: Dialect, { row, results, settled, dueMillis }: RowChange): SqlStatement {
  return sql(
    `UPDATE aftercommit_barrier SET results = ?, dead = ?, version = version + 1, settled = ${settled ? now : "NULL"},
       due = ${now} + ${integer}
     WHERE transaction_id = ? AND kind = 'decision' AND version = ?`,
    encodeResults(results),
    deadCount(results),
    Math.ceil(dueMillis),
    row.transactionId,
    row.version,
  );
}

function closeIntents({ now }: Dialect, transactionIds: readonly string[]): SqlStatement {
  return sql(
    `UPDATE aftercommit_barrier SET settled = ${now}
     WHERE kind = 'intent' AND settled IS NULL AND transaction_id IN (${places(transactionIds.length)})`,
    ...transactionIds,
  );
}

function inParts(ids: readonly string[]): readonly (readonly string[])[] {
  const parts: (readonly string[])[] = [];
  for (let at = 0; at < ids.length; at += MAX_IDS) parts.push(ids.slice(at, at + MAX_IDS));
  return parts;
}
