import type { Failure, Symptoms } from "./failure.ts";
import type { Execute, SqlStatement } from "./statement.ts";

/** What differs from one kind of SQL database to the next. */
export interface Dialect {
  /** Which one it is. */
  readonly name: "postgresql" | "sqlite" | "mysql";
  /** Milliseconds since 1970 on the database's clock. */
  readonly now: string;
  /** A placeholder for a whole number, where the statement alone does not say that it is one. */
  readonly integer: string;
  /** What a SELECT without a table needs before WHERE. */
  readonly fromNothing: string;
  /** The beginning and the end of an INSERT that leaves a row that is there as it is. */
  readonly insertIfAbsent: readonly [begin: string, end: string];
  /** Ends a subquery for rows to be claimed, so that sweepers do not wait for each other. */
  readonly skipLocked: string;
  /** Whether rows that a subquery picks are changed by a join with it: otherwise every row of the table would be locked. */
  readonly joinsPicked: boolean;
  /** Statements that make the rest of their transaction wait for a lock for a short time only, or not at all. */
  waitShortly(transactionId: string): readonly SqlStatement[];
  /** Whether these refuse at once what is locked. */
  readonly refusesLocked: boolean;
  /**
   * Asks whether the transaction is open as it was begun. Some errors end it by themselves, and user code that swallows
   * such an error goes on without one: what it does then stands, and what it did before does not. `deciding` is true
   * where our INSERT of the decision comes next.
   */
  isOpen(execute: Execute, deciding: boolean): Promise<boolean>;
  /** A query whose column `replica` is true where this is not the database that decides. */
  readonly askReplica: string | undefined;
  /** The tables and their indexes. */
  readonly tables: readonly string[];
  /** What the application's user must be allowed to. */
  readonly grants: string | undefined;
  /** What an error says. */
  failureOf(symptoms: Symptoms): Failure;
}
