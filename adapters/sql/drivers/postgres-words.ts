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
