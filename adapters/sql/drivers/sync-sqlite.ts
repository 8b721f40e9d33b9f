import type { SqlDriver } from "../driver.ts";
import { sqlite } from "../dialects/sqlite.ts";
import { RolledBackByDatabase } from "../failure.ts";
import { inTurn } from "../serial.ts";
import type { SqlResult, SqlStatement } from "../statement.ts";

/** A connection to a SQLite file in this process: one transaction at a time, and no promises. */
export interface SyncSqlite {
  /** Runs a statement without values. */
  exec(text: string): void;
  /** Runs a statement. */
  execute(statement: SqlStatement): SqlResult;
  /** Whether a transaction is open. */
  inTransaction(): boolean;
}

/**
 * The driver of a SQLite file in this process. Transactions take turns on the connection, as it has one at a time;
 * statements of other code on the same connection would fall into whichever is open, so that they belong into one of
 * their own.
 */
export function syncSqliteDriver<Sql extends object>(
  handle: Sql,
  connection: SyncSqlite,
): SqlDriver<Sql, never, never> {
  const transaction = <T>(work: () => T | Promise<T>): Promise<T> =>
    inTurn(handle, async () => {
      connection.exec("BEGIN IMMEDIATE");
      let committing = false;
      try {
        // Without a pause, where nothing has to be waited for: a pause here would let others find the file locked.
        const working = work();
        const value = working instanceof Promise ? await working : working;
        committing = true;
        connection.exec("COMMIT");
        return value;
      } catch (error) {
        if (!connection.inTransaction()) throw error;
        connection.exec("ROLLBACK");
        if (!committing) throw error;
        throw new RolledBackByDatabase("the COMMIT failed, and was rolled back", { cause: error });
      }
    });

  return {
    dialect: sqlite,
    transact: (statements) => transaction(() => statements.map((statement) => connection.execute(statement))),
    isOpen: () => connection.inTransaction(),
    transaction: (work) => transaction(() => work(handle, async (statement) => connection.execute(statement))),
  };
}
