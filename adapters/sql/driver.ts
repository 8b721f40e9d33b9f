import type { UnitOptions } from "../../src/ports/database.ts";
import type { Dialect } from "./dialect.ts";
import type { Execute, SqlResult, SqlStatement } from "./statement.ts";

/** What one database driver or ORM must be able to do; everything else is made of it. */
export interface SqlDriver<Sql, Statement, Results> {
  /** What the database speaks. */
  readonly dialect: Dialect;
  /**
   * Runs statements of ours in one transaction of isolation READ COMMITTED or stricter, all or none; one alone needs no
   * transaction around it. Resolves to what each brought.
   */
  transact(statements: readonly SqlStatement[]): Promise<readonly SqlResult[]>;
  /**
   * Runs a transaction: begins it, runs `work` with the driver's own handle and with a way to run statements of ours,
   * then commits; where `work` throws, rolls back and throws the same. Absent where there are batches only.
   */
  readonly transaction?: <T>(work: (sql: Sql, execute: Execute) => Promise<T>, options: UnitOptions) => Promise<T>;
  /** Runs a part of a transaction that can be rolled back alone. @default by the SQL statements for it */
  readonly savepoint?: <T>(sql: Sql, work: (sql: Sql) => Promise<T>) => Promise<T>;
  /** Whether the transaction is open as it was begun, where the driver knows. @default asks the database */
  readonly isOpen?: (sql: Sql) => boolean | Promise<boolean>;
  /** Runs our statements around the user's in one transaction and one call; resolves to what the user's brought. */
  readonly batch?: (
    before: readonly SqlStatement[],
    statements: readonly Statement[],
    after: readonly SqlStatement[],
  ) => Promise<Results>;
  /** The most bytes that a row can hold. */
  readonly maxRowBytes?: number;
  /** Ends the connection, where it was opened for one use. */
  readonly close?: () => Promise<void>;
}
