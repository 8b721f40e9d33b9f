import type { Decision, Verdict } from "../model/states.ts";
import type { Clock } from "../ports/clock.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, DeliveryChange, Mark, TransactionLog } from "../ports/transaction-log.ts";
import { identity } from "./state.ts";
import type { MemoryState, Unsettled } from "./state.ts";

/** The transaction log in memory. Every operation is one act: it takes effect when it is called. */
export function memoryTransactionLog(state: MemoryState, clock: Clock): TransactionLog {
  let lastToken = 0;

  return {
    async prepare(records) {
      for (const record of records) {
        const id = identity(record);
        if (state.due.has(id)) continue;
        state.due.set(id, { record, mark: "half", attempts: 0, dueAt: clock.now() + record.deadlineMillis });
      }
    },

    async decide(transactionId, verdict, at) {
      return decideOnce(state, transactionId, verdict, at);
    },

    async decisions(transactionIds) {
      const found = new Map<string, Decision>();
      for (const id of transactionIds) {
        const decision = state.decisions.get(id);
        if (decision !== undefined) found.set(id, decision);
      }
      return found;
    },

    async record(changes) {
      for (const change of changes) apply(state, change, clock.now());
    },

    async claimDue({ limit, leaseMillis }) {
      const now = clock.now();
      const due = [...state.due].filter(([, entry]) => entry.dueAt <= now).sort(([, a], [, b]) => compareDue(a, b));
      const claims: Claim[] = [];
      for (const [id, entry] of due.slice(0, limit)) {
        const token = ++lastToken;
        state.due.set(id, { ...entry, token, dueAt: now + leaseMillis });
        claims.push({
          record: entry.record,
          token,
          mark: entry.mark,
          attempts: entry.attempts,
          dueAt: entry.dueAt,
        });
      }
      return { claims, more: due.length >= limit, undecodable: [] };
    },
  };
}

/** Writes a decision unless there is one; the one in force. */
export function decideOnce(state: MemoryState, transactionId: string, verdict: Verdict, at: number): Decision {
  const standing = state.decisions.get(transactionId);
  if (standing !== undefined) return standing;
  const decision: Decision = { verdict, decidedAt: Math.max(1, Math.round(at)) };
  state.decisions.set(transactionId, decision);
  return decision;
}

function apply(state: MemoryState, change: DeliveryChange, now: number): void {
  const id = identity(change.record);
  const entry = state.due.get(id);
  if (entry === undefined || (change.token !== undefined && change.token !== entry.token)) return;
  if ("settled" in change) {
    state.due.delete(id);
    return;
  }
  const { mark, attempts, afterMillis } = change;
  state.due.set(id, {
    record: entry.record,
    mark,
    attempts: Math.min(Math.max(attempts, 0), MAX_ATTEMPTS),
    dueAt: now + Math.max(1, Math.round(afterMillis)),
  });
}

const MARKS: readonly Mark[] = ["half", "published", "doubted"];

/** Soonest due first; what is due at the same moment in an order that is fixed, so that runs can be repeated. */
export function compareDue(a: Unsettled, b: Unsettled): number {
  return (
    a.dueAt - b.dueAt ||
    a.attempts - b.attempts ||
    MARKS.indexOf(a.mark) - MARKS.indexOf(b.mark) ||
    compareText(a.record.key, b.record.key) ||
    compareText(a.record.meta, b.record.meta)
  );
}

/** By code units: keys and facts are ASCII. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
