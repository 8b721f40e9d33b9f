import type { DeadLetters } from "./dead-letters.ts";
import type { Inbox, InboxChildren, InboxReader } from "./inbox.ts";
import type { LogReader } from "./log-reader.ts";
import type { TransactionLog } from "./transaction-log.ts";

/** One store with all its capabilities: what `aftercommit({ log })` takes. */
export interface LogStore {
  /** Half messages and decisions. */
  readonly transactions: TransactionLog;
  /** What waits for a person. */
  readonly deadLetters: DeadLetters;
  /** What people see of it. */
  readonly reader: LogReader;
  /** An inbox in the same store, so that completing a message and deciding what its consumer published are one act. */
  readonly inbox: Inbox & InboxReader & InboxChildren;
  /** Which part of the store a key lies in; ids whose parts agree can share one atomic act. */
  shardOf(id: string): number;
  /**
   * The mark that the store bears since it was first used; `fresh` becomes it where there is none. Another mark than before
   * means that the store has lost what it held.
   */
  mark(fresh: string): Promise<string>;
  /** Drops decisions and marks of age; never what an unsettled or held record needs. Bounded, idempotent. */
  cleanUp(options: { readonly now: number; readonly retentionMillis: number }): Promise<void>;
}
