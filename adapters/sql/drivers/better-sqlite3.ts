import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { syncSqliteDriver } from "./sync-sqlite.ts";

/** What is used of a `Database` of better-sqlite3, by shape. */
export interface BetterSqlite3Like {
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs statements without values. */
  exec(text: string): unknown;
  /** Prepares a statement. */
  prepare(text: string): BetterSqlite3StatementLike;
}

/** What is used of its prepared statements. */
export interface BetterSqlite3StatementLike {
  /** Whether it brings rows. */
  readonly reader: boolean;
  /** Runs it, and brings its rows. */
  all(...values: (string | number | null)[]): unknown[];
  /** Runs it, and says what it changed. */
  run(...values: (string | number | null)[]): { readonly changes: number };
}

/**
 * A SQLite file through better-sqlite3, on Node. Set a WAL journal where other processes open the file too.
 *
 * @example
 * ```ts
 * const database = new Database("shop.sqlite");
 * const ac = aftercommit({ databases: { main: betterSqlite3(database) } });
 * ```
 */
export function betterSqlite3<Connection extends BetterSqlite3Like>(
  database: Connection,
): InteractiveDatabase<Connection> {
  const driver = syncSqliteDriver(database, {
    exec: (text) => database.exec(text),
    execute({ text, values }) {
      const statement = database.prepare(text);
      if (statement.reader) return { rows: statement.all(...values) as Record<string, unknown>[], changes: 0 };
      return { rows: [], changes: statement.run(...values).changes };
    },
    inTransaction: () => database.inTransaction,
  });
  return sqlDatabase(driver) as InteractiveDatabase<Connection>;
}
