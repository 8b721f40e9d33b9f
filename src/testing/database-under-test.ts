import type { Database } from "../ports/database.ts";

/**
 * A database with our tables in it, empty, and a table of the test's own: what a suite needs to play the user.
 *
 * `Sql` and `Statement` are the driver's, which the suite only passes on.
 */
export interface DatabaseUnderTest<Sql = unknown, Statement = unknown> {
  /** The database. */
  readonly database: Database<Sql, Statement>;
  /** The same database through another connection, as another process has it; the same object where there can be only one. */
  readonly other: Database<Sql, Statement>;
  /** Whether two transactions can be open at once, one of them waiting only where both want the same row. @default false */
  readonly concurrent?: boolean;
  /** Inserts a text into the test's own table, in an open transaction; a text that is there already fails. */
  insert?(sql: Sql, text: string): Promise<void>;
  /** A statement for a batch that does the same. */
  insertStatement?(text: string): Statement;
  /** The texts in the test's own table, in order, as another connection sees them: committed ones. */
  texts(): Promise<readonly string[]>;
  /** Plants a decision that is due, with these messages as they stand; the tests about such rows are left out without it. */
  plant?(transactionId: string, messages: string, source: string): Promise<void>;
  /** Lets so much time pass on the database's own clock: moves a simulated one, waits for a real one. */
  advance(millis: number): Promise<void>;
  /** Ends the database and what it holds. */
  dispose(): Promise<void>;
}

/** Makes a database that shares nothing with those made before. */
export type MakeDatabase<Sql = unknown, Statement = unknown> = () => Promise<DatabaseUnderTest<Sql, Statement>>;
