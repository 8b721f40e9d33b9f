import { DatabaseNotReadyError } from "../../../src/errors.ts";
import { sqlDatabase } from "../database.ts";
import type { BatchDatabase } from "../database.ts";
import { sqlite } from "../dialects/sqlite.ts";
import type { SqlDriver } from "../driver.ts";
import type { SqlResult, SqlStatement } from "../statement.ts";

/** What is used of a D1 binding, or of a session of it, by shape. */
export interface D1Like<Statement = unknown, Result = D1ResultLike> {
  /** Prepares a statement. */
  prepare(text: string): D1StatementLike<Statement>;
  /** Runs statements as one transaction. */
  batch(statements: Statement[]): Promise<Result[]>;
}

/** What is used of its prepared statements. */
export interface D1StatementLike<Statement = unknown> {
  /** The statement with its values. */
  bind(...values: (string | number | null)[]): Statement;
}

/** What is used of the result of a statement. */
export interface D1ResultLike {
  /** The rows. */
  readonly results?: unknown;
  /** What it changed, and who answered. */
  readonly meta: object;
}

/** D1 holds 2,000,000 bytes in a row: the rest is for what became of the messages. */
const MAX_ROW_BYTES = 1_600_000;

/**
 * Cloudflare D1: the statements of a transaction in one `batch()`, ours among them. `tx.batch` resolves to the results of
 * the user's.
 *
 * Give it the binding. A session, which may read from replicas, fits for one request whose statements need its bookmark.
 *
 * @example
 * ```ts
 * const ac = aftercommit<Env>((env) => ({ databases: { main: d1(env.DB) } }));
 * await tx.batch("main", [env.DB.prepare("insert into orders (id) values (?1)").bind(id)]);
 * ```
 */
export function d1<Statement, Result extends D1ResultLike>(
  database: D1Like<Statement, Result>,
): BatchDatabase<Statement, readonly Result[]> {
  const prepared = ({ text, values }: SqlStatement): Statement => database.prepare(text).bind(...values);
  // An empty batch is an error to D1.
  const runBatch = async (statements: Statement[]): Promise<Result[]> =>
    statements.length === 0 ? [] : database.batch(statements);

  const driver: SqlDriver<never, Statement, readonly Result[]> = {
    dialect: sqlite,
    transact: async (statements) => (await runBatch(statements.map(prepared))).map(resultOf),
    async batch(before, statements, after) {
      const results = await runBatch([...before.map(prepared), ...statements, ...after.map(prepared)]);
      return results.slice(before.length, before.length + statements.length);
    },
    maxRowBytes: MAX_ROW_BYTES,
  };
  return sqlDatabase(driver) as BatchDatabase<Statement, readonly Result[]>;
}

function resultOf({ results, meta }: D1ResultLike): SqlResult {
  const { changes = 0, served_by_primary: byPrimary } = meta as {
    readonly changes?: number;
    readonly served_by_primary?: boolean;
  };
  // A replica does not know yet what was decided.
  if (byPrimary === false) {
    throw new DatabaseNotReadyError("Expected the primary of a D1 database, found that a replica had answered.", {
      hint: "Give the binding itself, not a session of it.",
    });
  }
  return { rows: (results ?? []) as SqlResult["rows"], changes };
}
