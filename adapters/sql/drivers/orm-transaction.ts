import type { UnitOptions } from "../../../src/ports/database.ts";
import type { Dialect } from "../dialect.ts";
import { numbered, sql } from "../statement.ts";
import type { Execute, SqlResult, SqlStatement } from "../statement.ts";
import { mysqlText } from "./mysql-text.ts";

/** For statements of ours alone: stricter levels refuse, or lock gaps, where these need neither. */
export const READ_COMMITTED: UnitOptions = { isolation: "read committed" };

/** How an ORM runs a transaction: it begins it, gives its handle to `work`, then commits, or rolls back what throws. */
export type RunTransaction<Tx> = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;

/**
 * Runs a transaction through an ORM. What `work` throws comes through, also where the ORM would tell of a ROLLBACK that
 * failed after it: the connection was lost then, and the database rolls back by itself.
 *
 * PostgreSQL answers the COMMIT of a transaction that met an error with a ROLLBACK, and ORMs look away. So such a
 * transaction ends with a statement of ours, if not with the decision: it fails where the COMMIT would do nothing.
 */
export async function ormTransaction<Tx, T>(
  dialect: Dialect,
  run: RunTransaction<Tx>,
  execute: (tx: Tx, statement: SqlStatement) => Promise<SqlResult>,
  work: (tx: Tx, execute: Execute) => Promise<T>,
): Promise<T> {
  let thrown: { readonly error: unknown } | undefined;
  let open = true;
  try {
    return await run(async (tx) => {
      try {
        let decided = false;
        const value = await work(tx, async (statement) => {
          // The handle may lead to a connection that has another transaction by now, or none.
          if (!open) throw new Error("Expected a statement within its transaction, found the transaction over.");
          const result = await execute(tx, statement);
          decided = statement.text.startsWith("INSERT INTO aftercommit_barrier");
          return result;
        });
        if (!decided && dialect.name === "postgresql") await execute(tx, sql("SELECT 1"));
        return value;
      } catch (error) {
        thrown = { error };
        throw error;
      }
    });
  } catch (error) {
    throw thrown === undefined ? error : thrown.error;
  } finally {
    open = false;
  }
}

/** Runs statements of ours one after the other. */
export async function executeAll(statements: readonly SqlStatement[], execute: Execute): Promise<readonly SqlResult[]> {
  const results: SqlResult[] = [];
  for (const statement of statements) results.push(await execute(statement));
  return results;
}

/** Whether a statement of ours brings rows. */
export function bringsRows({ text }: SqlStatement): boolean {
  return /^SELECT\b/i.test(text);
}

/** A statement of ours with the placeholders of its dialect. */
export function ormStatement(dialect: Dialect, { text, values }: SqlStatement): SqlStatement {
  if (dialect.name === "postgresql") return { text: numbered(text), values };
  return dialect.name === "mysql" ? { text: mysqlText({ text, values }), values: [] } : { text, values };
}
