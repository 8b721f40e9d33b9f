import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { postgresql } from "../dialects/postgresql.ts";
import type { SqlDriver } from "../driver.ts";
import { RolledBackByDatabase } from "../failure.ts";
import { numbered } from "../statement.ts";
import type { Execute, SqlStatement, SqlValue } from "../statement.ts";
import { executeAll } from "./orm-transaction.ts";
import { isolationLevel } from "./postgres-words.ts";
import { unlessLost, whileOpen } from "./postgres-js-handle.ts";

/** What is used of a `TransactionSql` of postgres, by shape. */
export interface PostgresJsTransactionLike {
  /** Runs a statement. */
  unsafe(text: string, values?: SqlValue[], options?: { prepare?: boolean }): PromiseLike<PostgresJsRowsLike>;
  /** Runs a part that can be rolled back alone. */
  savepoint(work: (sql: PostgresJsTransactionLike) => Promise<unknown>): Promise<unknown>;
}

/** What is used of a `Sql` of postgres, by shape. */
export interface PostgresJsLike {
  /** Runs a statement. */
  unsafe(text: string, values?: SqlValue[], options?: { prepare?: boolean }): PromiseLike<PostgresJsRowsLike>;
  /** Runs a transaction. */
  begin(options: string, work: (sql: PostgresJsTransactionLike) => Promise<unknown>): Promise<unknown>;
}

/** What is used of the rows of a query. */
export interface PostgresJsRowsLike extends Iterable<unknown> {
  /** How many rows it changed, or brought. */
  readonly count: number | null;
}

/** What a transaction hands to the user. */
export type PostgresJsHandle<Sql> = Sql extends {
  begin(options: string, work: (sql: infer Transaction) => never): unknown;
}
  ? Transaction
  : never;

/**
 * A PostgreSQL through postgres (postgres.js). A query that fails undoes its whole transaction, or its savepoint, even
 * where its error is caught.
 *
 * @example
 * ```ts
 * const sql = postgres(connectionString);
 * const ac = aftercommit({ databases: { main: postgresJs(sql) } });
 * ```
 */
export function postgresJs<Sql extends PostgresJsLike>(sql: Sql): InteractiveDatabase<PostgresJsHandle<Sql>> {
  return sqlDatabase(postgresJsDriver(sql)) as InteractiveDatabase<PostgresJsHandle<Sql>>;
}

type Handle = PostgresJsTransactionLike;

function postgresJsDriver(sql: PostgresJsLike): SqlDriver<Handle, never, never> {
  /** Runs a transaction; nothing is prepared on the server but what stands in the user's way. */
  const transaction = async <T>(
    work: (sql: Handle, execute: Execute) => Promise<T>,
    level: string,
    prepare: boolean,
  ): Promise<T> => {
    let open = true;
    let last: Promise<unknown> | undefined;
    const begun = sql.begin(level, async (bare: Handle) => {
      const handle = whileOpen(bare, () => open);
      const execute: Execute = async (statement) => resultOf(await send(handle, statement, prepare));
      const value = await unlessLost(
        () => work(handle, execute),
        () => open,
      );
      // Sent right before COMMIT, whose own answer is not told: this fails where an error had aborted the transaction.
      last = Promise.resolve(bare.unsafe("SELECT 1"));
      last.catch(() => undefined);
      return { value };
    });
    try {
      const { value } = (await begun) as { readonly value: T };
      await last!.catch((cause: unknown) => {
        throw new RolledBackByDatabase("an error had aborted the transaction before its COMMIT", { cause });
      });
      return value;
    } finally {
      open = false;
    }
  };

  return {
    dialect: postgresql,
    async transact(statements) {
      if (statements.length === 1) return [resultOf(await send(sql, statements[0]!, false))];
      const work = (_: Handle, execute: Execute) => executeAll(statements, execute);
      return transaction(work, isolationLevel("read committed"), false);
    },
    transaction: (work, { isolation }) => transaction(work, isolationLevel(isolation), true),
    async savepoint<T>(handle: Handle, work: (sql: Handle) => Promise<T>): Promise<T> {
      // In an object, as postgres would await each item of an array.
      const { value } = (await handle.savepoint(async (part: Handle) => ({ value: await work(part) }))) as { value: T };
      return value;
    },
    isOpen: () => true,
  };
}

/** Prepared, where the user's own options allow that, a statement takes one round trip instead of two. */
function send(
  sql: Pick<Handle, "unsafe">,
  { text, values }: SqlStatement,
  prepare: boolean,
): PromiseLike<PostgresJsRowsLike> {
  return sql.unsafe(numbered(text), [...values], { prepare });
}

function resultOf(rows: PostgresJsRowsLike): Awaited<ReturnType<Execute>> {
  return { rows: [...rows] as Record<string, unknown>[], changes: rows.count ?? 0 };
}
