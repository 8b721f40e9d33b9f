import type { BarrierReader, UnsettledRow } from "../../src/ports/barrier.ts";
import { columns, foundOf, textOf, UNDECIDED } from "./barrier-rows.ts";
import type { Transact } from "./barrier.ts";
import type { Dialect } from "./dialect.ts";
import { sql } from "./statement.ts";

const DEFAULT_LIMIT = 50;

/** What people see of the barrier. */
export function sqlBarrierReader(dialect: Dialect, transact: Transact): BarrierReader {
  const query = async (...statement: Parameters<typeof sql>) => (await transact([sql(...statement)]))[0]!.rows;
  return {
    async listDead(source, { cursor = "", limit = DEFAULT_LIMIT } = {}) {
      const rows = await query(
        `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE source = ? AND dead > 0 AND transaction_id > ?
         ORDER BY transaction_id LIMIT ${Math.trunc(limit)}`,
        source,
        cursor,
      );
      const items = rows.flatMap((row) => {
        const found = foundOf([row]);
        return found?.state === "decided" ? [found.row] : [];
      });
      return rows.length < limit ? { items } : { items, cursor: textOf(rows.at(-1)!.id) };
    },

    async listUnsettled(source, { cursor = "0 ", limit = DEFAULT_LIMIT } = {}) {
      const [due = "0", id = ""] = cursor.split(" ");
      const rows = await query(
        `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE source = ? AND settled IS NULL AND (kind = 'decision' OR ${UNDECIDED})
         AND (due > ? OR (due = ? AND transaction_id > ?)) ORDER BY due, transaction_id LIMIT ${Math.trunc(limit)}`,
        source,
        Number(due),
        Number(due),
        id,
      );
      const items = rows.map((row): UnsettledRow => {
        return { transactionId: textOf(row.id), found: foundOf([row])!, dueAt: Number(row.due) };
      });
      const last = rows.at(-1);
      if (last === undefined || rows.length < limit) return { items };
      return { items, cursor: `${Number(last.due)} ${textOf(last.id)}` };
    },

    async counts(source) {
      const [row] = await query(
        `SELECT COUNT(DISTINCT CASE WHEN settled IS NULL THEN transaction_id END) AS unsettled,
           COALESCE(SUM(dead), 0) AS dead, SUM(CASE kind WHEN 'decision' THEN 1 ELSE 0 END) AS decisions
         FROM aftercommit_barrier WHERE source = ?`,
        source,
      );
      return { unsettled: Number(row!.unsettled), dead: Number(row!.dead), decisions: Number(row!.decisions ?? 0) };
    },
  };
}
