import { MemoryDatabaseError } from "./database-rows.ts";

/** What goes wrong with a call of a memory database. */
export type DatabaseFault =
  /** Any call: the database does not answer, and nothing is done. */
  | "unavailable"
  /** The begin of a transaction of the user's: refused. */
  | "begin"
  /** A statement in a transaction of the user's: it fails, and breaks the transaction. */
  | "statement"
  /** A COMMIT of the user's: rolled back, and may be tried again. */
  | "commit"
  /** A COMMIT of the user's that never arrives: rolled back, and the outcome is not known. */
  | "commitLost"
  /** A COMMIT of the user's that is done: its reply is lost, and the outcome is not known. */
  | "commitReplyLost"
  /** An operation of ours outside of transactions that is done: its reply is lost. */
  | "replyLost";

const ERRORS: Readonly<Record<DatabaseFault, readonly [MemoryDatabaseError["reason"], string]>> = {
  unavailable: ["unavailable", "the database does not answer"],
  begin: ["refused", "the database takes no transaction"],
  statement: ["refused", "the statement failed"],
  commit: ["conflict", "the COMMIT failed, and may be tried again"],
  commitLost: ["unavailable", "no answer to the COMMIT"],
  commitReplyLost: ["unavailable", "no answer to the COMMIT"],
  replyLost: ["unavailable", "no answer from the database"],
};

/** Faults that wait for the calls that they are meant for. */
export interface DatabaseFaults {
  /** Adds one; the function that it returns takes it away again. */
  add(this: void, fault: DatabaseFault, options?: { readonly times?: number }): () => void;
  /** The error of a fault among these that waits, which is over with it. */
  take(...faults: readonly DatabaseFault[]): MemoryDatabaseError | undefined;
  /** Throws it. */
  meet(...faults: readonly DatabaseFault[]): void;
}

/** No faults yet. */
export function databaseFaults(): DatabaseFaults {
  const waiting = new Set<{ readonly fault: DatabaseFault; left: number }>();
  const take = (...faults: readonly DatabaseFault[]): MemoryDatabaseError | undefined => {
    for (const entry of waiting) {
      if (!faults.includes(entry.fault)) continue;
      if (--entry.left <= 0) waiting.delete(entry);
      return new MemoryDatabaseError(...ERRORS[entry.fault]);
    }
    return undefined;
  };
  return {
    add(fault, { times = 1 } = {}) {
      const entry = { fault, left: times };
      waiting.add(entry);
      return () => waiting.delete(entry);
    },
    take,
    meet(...faults) {
      const error = take(...faults);
      if (error !== undefined) throw error;
    },
  };
}
