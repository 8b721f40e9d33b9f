import type { Isolation } from "../../../src/ports/database.ts";

/** The isolation levels in PostgreSQL's words; nothing that a caller says stands in a statement as it is. */
const LEVELS: Readonly<Record<Isolation, string>> = {
  "read committed": "ISOLATION LEVEL READ COMMITTED",
  "repeatable read": "ISOLATION LEVEL REPEATABLE READ",
  serializable: "ISOLATION LEVEL SERIALIZABLE",
};

/** What follows BEGIN, or SET TRANSACTION; nothing where the database's own level is meant. */
export function isolationLevel(isolation: Isolation | undefined): string {
  return isolation === undefined ? "" : LEVELS[isolation];
}

/** What only a transaction that is open, and not aborted, takes. */
const ONLY_IN_TRANSACTION = "SAVEPOINT aftercommit_open";

/** Whether a transaction is open, by trial. */
export async function takesSavepoint(query: (text: string) => Promise<unknown>): Promise<boolean> {
  try {
    await query(ONLY_IN_TRANSACTION);
    return true;
  } catch {
    return false;
  }
}

const BEGINS_OR_ENDS =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+((work|transaction)\s+)?to\b))\b/i;

/** Whether a statement begins or ends a transaction: what comes after it would no longer stand or fall with it. */
export function beginsOrEnds(text: string): boolean {
  return BEGINS_OR_ENDS.test(text);
}
