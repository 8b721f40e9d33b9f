import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { syncSqliteDriver } from "./sync-sqlite.ts";

/** What is used of a `DatabaseSync` of node:sqlite, by shape. */
export interface NodeSqliteLike {
  /** Runs statements without values. */
  exec(text: string): void;
  /** Prepares a statement. */
  prepare(text: string): NodeSqliteStatementLike;
  /** Whether a transaction is open. */
  readonly isTransaction?: boolean;
}

/** What is used of its prepared statements. */
export interface NodeSqliteStatementLike {
  /** Runs it, and brings its rows. */
  all(...values: (string | number | null)[]): unknown[];
  /** Runs it, and says what it changed. */
  run(...values: (string | number | null)[]): { readonly changes: number | bigint };
}

/**
 * A SQLite file through node:sqlite, on Node and Deno. Set `pragma busy_timeout`, and a WAL journal, where other processes
 * open the file too.
 *
 * @example
 * ```ts
 * const database = new DatabaseSync("shop.sqlite");
 * const ac = aftercommit({ databases: { main: nodeSqlite(database) } });
 * ```
 */
export function nodeSqlite<Connection extends NodeSqliteLike>(database: Connection): InteractiveDatabase<Connection> {
  const driver = syncSqliteDriver(database, {
    exec: (text) => database.exec(text),
    execute({ text, values }) {
      const statement = database.prepare(text);
      if (/^(SELECT|PRAGMA)/.test(text))
        return { rows: statement.all(...values) as Record<string, unknown>[], changes: 0 };
      return { rows: [], changes: Number(statement.run(...values).changes) };
    },
    inTransaction: () => database.isTransaction ?? true,
  });
  return sqlDatabase(driver) as InteractiveDatabase<Connection>;
}
