import type { DecisionRow, Verdict } from "aftercommit";
import type { DatabaseSnapshot } from "aftercommit/memory";
import type { World } from "../world.ts";

/** Who is told of a violation. */
export type Violate = (invariant: string, detail: string) => void;

/** What is in the business database, looked at whenever something was written. */
export interface RowWatch {
  /** The decision of each transaction that ever had a row. */
  readonly verdicts: Map<string, Verdict>;
  /** Requests whose business work is committed, by transaction: which one, and since when. */
  readonly orders: Map<string, { readonly request: number; readonly at: number }>;
  acted(name: string, snapshot: () => DatabaseSnapshot, world: World): void;
}

const WRITES = new Set([
  "sql.commit",
  "sql.batch",
  "barrier.intend",
  "barrier.rollBack",
  "barrier.claimUnsettled",
  "barrier.settle",
  "barrier.cleanUp",
]);
const DECISION = "decision/";
const ORDER = "table/order/";

/** Watches that decisions never change (3), and that nothing that waits or is dead disappears (5). */
export function rowWatch(violate: Violate): RowWatch {
  const verdicts = new Map<string, Verdict>();
  const orders: RowWatch["orders"] = new Map();
  const standing = new Map<string, DecisionRow>();

  return {
    verdicts,
    orders,
    acted(name, snapshot, { oracle, scheduler }) {
      if (!WRITES.has(name)) return;
      let decisions = 0;
      for (const [key, value] of snapshot()) {
        if (key.startsWith(ORDER)) {
          const transactionId = value as string;
          if (!orders.has(transactionId))
            orders.set(transactionId, { request: Number(key.slice(ORDER.length)), at: scheduler.now });
        }
        if (!key.startsWith(DECISION)) continue;
        decisions++;
        const { row } = value as { readonly row: DecisionRow };
        const before = standing.get(row.transactionId);
        if (before === row) continue;
        const verdict = verdicts.get(row.transactionId);
        if (verdict !== undefined && verdict !== row.verdict)
          violate("a decision never changes", `${row.transactionId} was ${verdict}, and is ${row.verdict} in its row`);
        verdicts.set(row.transactionId, row.verdict);
        standing.set(row.transactionId, row);
        for (const lost of before === undefined ? [] : deadBefore(before, row))
          if (!oracle.touched.has(lost))
            violate("nothing dead disappears", `${lost} is dead no more, and no person has touched it`);
      }
      if (decisions === standing.size) return;
      const left = new Set(snapshot().map(([key]) => key));
      for (const [id, row] of standing) {
        if (left.has(DECISION + id)) continue;
        standing.delete(id);
        if (!row.settled || Object.values(row.results).some(({ state }) => state === "dead"))
          violate("nothing that waits disappears", `the row of ${id} is gone`);
      }
    },
  };
}

/** Deliveries that were dead, and are not any more. */
function deadBefore(before: DecisionRow, after: DecisionRow): readonly string[] {
  return Object.entries(before.results)
    .filter(([key, { state }]) => state === "dead" && after.results[key]?.state !== "dead")
    .map(([key]) => key);
}
