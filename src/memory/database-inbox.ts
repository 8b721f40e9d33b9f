import type { Clock } from "../ports/clock.ts";
import type { Consumed } from "../ports/database.ts";
import type { Inbox, InboxClaim, InboxKey, InboxReader } from "../ports/inbox.ts";
import type { Operate } from "./database-barrier.ts";
import type { RowsTransaction } from "./database-rows.ts";
import { inboxKey } from "./state.ts";

/** The prefix of keys. */
export const INBOX = "inbox/";

/** A message that is leased or done. */
export interface InboxRow {
  readonly token: string;
  readonly until: number;
  /** What it came to, where it is done. */
  readonly outcome?: string;
}

/** The key of the row of a message that is done; whoever writes it has consumed the message. */
export function doneKey(key: InboxKey): string {
  return `${INBOX}done/${inboxKey(key)}`;
}

/** The row of a message that a transaction consumes. */
export function doneRow({ claim, outcome = "null", retentionMillis }: Consumed, now: number): InboxRow {
  return { token: claim.token, outcome, until: now + Math.ceil(retentionMillis) };
}

/** The inbox of a memory database: a lease and what is done are two rows, so that work may consume while it holds one. */
export function databaseInbox(operate: Operate, clock: Clock): Inbox & InboxReader {
  const leaseKey = (key: InboxKey): string => `${INBOX}lease/${inboxKey(key)}`;
  const current = (tx: RowsTransaction, key: string): InboxRow | undefined => {
    const row = tx.get(key) as InboxRow | undefined;
    return row === undefined || row.until <= clock.now() ? undefined : row;
  };
  const until = (millis: number): number => clock.now() + Math.ceil(millis);
  /** A run's own lease, even where it is over. */
  const dropLease = (tx: RowsTransaction, claim: InboxClaim): void => {
    const key = leaseKey(claim);
    if ((tx.get(key) as InboxRow | undefined)?.token === claim.token) tx.delete(key);
  };

  return {
    claim: (claim, leaseMillis) =>
      operate((tx) => {
        for (const key of [doneKey(claim), leaseKey(claim)]) {
          if (tx.get(key) !== undefined && current(tx, key) === undefined) tx.delete(key);
        }
        const done = tx.get(doneKey(claim)) as InboxRow | undefined;
        if (done !== undefined) return { state: "done", outcome: done.outcome! };
        const lease = tx.get(leaseKey(claim)) as InboxRow | undefined;
        if (lease !== undefined) return { state: lease.token === claim.token ? "claimed" : "busy" };
        tx.put(leaseKey(claim), { token: claim.token, until: until(leaseMillis) });
        return { state: "claimed" };
      }),

    renew: (claim, leaseMillis) =>
      operate((tx) => {
        if (current(tx, leaseKey(claim))?.token !== claim.token) return false;
        tx.put(leaseKey(claim), { token: claim.token, until: until(leaseMillis) });
        return true;
      }),

    complete: (claim, { outcome, retentionMillis }) =>
      operate((tx) => {
        const done = tx.get(doneKey(claim)) as InboxRow | undefined;
        const holds = current(tx, leaseKey(claim))?.token === claim.token;
        dropLease(tx, claim);
        if (done !== undefined) return done.token === claim.token ? "completed" : "lost";
        if (!holds) return "lost";
        tx.put(doneKey(claim), { token: claim.token, outcome, until: until(retentionMillis) });
        return "completed";
      }),

    release: (claim) => operate((tx) => dropLease(tx, claim)),

    look: (key) =>
      operate((tx) => {
        if (current(tx, doneKey(key)) !== undefined) return { state: "done" };
        const lease = current(tx, leaseKey(key));
        return lease === undefined ? { state: "new" } : { state: "leased", token: lease.token };
      }),
  };
}
