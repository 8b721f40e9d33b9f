import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { syncSqliteDriver } from "./sync-sqlite.ts";

/** What is used of a `Database` of bun:sqlite, by shape. */
export interface BunSqliteLike {
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs statements without values. */
  exec(text: string): unknown;
  /** Prepares a statement, or takes the one that was prepared before. */
  query(text: string): BunSqliteStatementLike;
}

/** What is used of its prepared statements. */
export interface BunSqliteStatementLike {
  /** Runs it, and brings its rows. */
  all(...values: (string | number | null)[]): unknown[];
  /** Runs it, and says what it changed. */
  run(...values: (string | number | null)[]): { readonly changes: number };
}

/**
 * A SQLite file through bun:sqlite, on Bun. Set `pragma busy_timeout`, and a WAL journal, where other processes open the
 * file too.
 *
 * @example
 * ```ts
 * import { Database } from "bun:sqlite";
 *
 * const database = new Database("shop.sqlite");
 * const ac = aftercommit({ databases: { main: bunSqlite(database) } });
 * ```
 */
export function bunSqlite<Connection extends BunSqliteLike>(database: Connection): InteractiveDatabase<Connection> {
  const driver = syncSqliteDriver(database, {
    exec: (text) => database.exec(text),
    execute({ text, values }) {
      const statement = database.query(text);
      if (/^(SELECT|PRAGMA)/.test(text))
        return { rows: statement.all(...values) as Record<string, unknown>[], changes: 0 };
      return { rows: [], changes: statement.run(...values).changes };
    },
    inTransaction: () => database.inTransaction,
  });
  return sqlDatabase(driver) as InteractiveDatabase<Connection>;
}
