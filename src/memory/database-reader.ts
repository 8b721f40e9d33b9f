import { deadCount } from "../model/barrier-row.ts";
import type { BarrierReader } from "../ports/barrier.ts";
import { DECISION, unsettled } from "./database-barrier.ts";
import type { Operate, StoredDecision } from "./database-barrier.ts";
import { foundRow } from "./database-barrier.ts";
import type { Clock } from "../ports/clock.ts";
import type { RowsTransaction } from "./database-rows.ts";
import { pageAfter } from "./log-reader.ts";
import { compareText } from "./transaction-log.ts";

/** What people see of a memory database's barrier. */
export function memoryBarrierReader(operate: Operate, clock: Clock): BarrierReader {
  const decisions = (tx: RowsTransaction, source: string) =>
    (tx.list(DECISION) as [string, StoredDecision][]).map(([, { row }]) => row).filter((row) => row.source === source);

  return {
    listDead: (source, page) =>
      operate((tx) => {
        const dead = decisions(tx, source).filter(({ results }) => deadCount(results) > 0);
        return pageAfter(dead, page, ({ transactionId }) => transactionId);
      }),

    listUnsettled: (source, page) =>
      operate((tx) => {
        const items = unsettled(tx, source).map(({ due, stored }) => {
          const [decision, intent] = "row" in stored ? [stored, undefined] : [undefined, stored];
          const transactionId = decision?.row.transactionId ?? intent!.transactionId;
          return { transactionId, found: foundRow(decision, intent, clock.now())!, dueAt: due };
        });
        const keyOf = ({ dueAt, transactionId }: (typeof items)[number]) =>
          `${String(dueAt).padStart(16, "0")} ${transactionId}`;
        return pageAfter(
          items.sort((a, b) => compareText(keyOf(a), keyOf(b))),
          page,
          keyOf,
        );
      }),

    counts: (source) =>
      operate((tx) => {
        const decided = decisions(tx, source);
        const dead = decided.reduce((sum, { results }) => sum + deadCount(results), 0);
        return { unsettled: unsettled(tx, source).length, dead, decisions: decided.length };
      }),
  };
}
