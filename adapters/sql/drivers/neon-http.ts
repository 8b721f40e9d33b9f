import { sqlDatabase } from "../database.ts";
import type { BatchDatabase } from "../database.ts";
import { postgresql } from "../dialects/postgresql.ts";
import type { SqlDriver } from "../driver.ts";
import { numbered } from "../statement.ts";
import type { SqlResult, SqlStatement, SqlValue } from "../statement.ts";

/** What is used of the function that `neon(…)` of @neondatabase/serverless makes, by shape. */
export interface NeonHttpLike {
  (strings: TemplateStringsArray, ...values: never[]): PromiseLike<unknown>;
  /** Runs a statement. */
  query(
    text: string,
    values?: SqlValue[],
    options?: { arrayMode?: false; fullResults?: true },
  ): PromiseLike<NeonHttpResultLike>;
  /** Runs a transaction. */
  transaction(queries: never[], options?: { isolationLevel?: "ReadCommitted"; readOnly?: boolean }): Promise<unknown[]>;
}

/** What is used of a full result. */
export interface NeonHttpResultLike {
  /** How many rows it changed, or brought. */
  readonly rowCount: number | null;
  /** The rows. */
  readonly rows: unknown[];
}

/** A query that is not sent yet, as a batch takes it. */
export type NeonHttpStatement<Sql extends NeonHttpLike> = ReturnType<Sql>;

/** What the queries of a batch brought, each as it would alone. */
export type NeonHttpResults<Sql extends NeonHttpLike> = Awaited<ReturnType<Sql>>[];

/**
 * A PostgreSQL of Neon over HTTP: one request a transaction, and therefore batches only. For transactions that stay open
 * give the `Pool` of the same package to `nodePostgres`.
 *
 * @example
 * ```ts
 * const sql = neon(connectionString);
 * const ac = aftercommit({ databases: { main: neonHttp(sql) } });
 * // in a handler: await tx.batch("main", [sql`insert into orders (id) values (${id})`]);
 * ```
 */
export function neonHttp<Sql extends NeonHttpLike>(
  sql: Sql,
): BatchDatabase<NeonHttpStatement<Sql>, NeonHttpResults<Sql>> {
  return sqlDatabase(neonHttpDriver(sql)) as unknown as BatchDatabase<NeonHttpStatement<Sql>, NeonHttpResults<Sql>>;
}

function neonHttpDriver(sql: NeonHttpLike): SqlDriver<never, PromiseLike<unknown>, unknown[]> {
  // A query is sent when it is awaited, or by the transaction it is given to. Its options stand above the user's own.
  const queryOf = ({ text, values }: SqlStatement): PromiseLike<NeonHttpResultLike> =>
    sql.query(numbered(text), [...values], { arrayMode: false, fullResults: true });

  return {
    dialect: postgresql,
    async transact(statements) {
      if (statements.length === 1) return [resultOf(await queryOf(statements[0]!))];
      const options = { isolationLevel: "ReadCommitted", readOnly: false } as const;
      const results = await sql.transaction(statements.map(queryOf) as never[], options);
      return results.map((result) => resultOf(result as NeonHttpResultLike));
    },
    async batch(before, statements, after) {
      const queries = [...before.map(queryOf), ...statements, ...after.map(queryOf)];
      const results = await sql.transaction(queries as never[]);
      return results.slice(before.length, before.length + statements.length);
    },
  };
}

function resultOf({ rows, rowCount }: NeonHttpResultLike): SqlResult {
  return { rows: rows as Record<string, unknown>[], changes: rowCount ?? 0 };
}
