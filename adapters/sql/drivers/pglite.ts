import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { postgresql } from "../dialects/postgresql.ts";
import type { SqlDriver } from "../driver.ts";
import { RolledBackByDatabase } from "../failure.ts";
import { inTurn } from "../serial.ts";
import { numbered } from "../statement.ts";
import type { Execute } from "../statement.ts";
import { executeAll } from "./orm-transaction.ts";
import { isolationLevel, takesSavepoint } from "./postgres-words.ts";

/** What is used of a `Transaction` of PGlite, by shape. */
export interface PGliteTransactionLike {
  /** Runs a statement. */
  query(text: string, values?: unknown[]): Promise<PGliteResultLike>;
}

/** What is used of a `PGlite`, by shape. */
export interface PGliteLike extends PGliteTransactionLike {
  /** Runs a transaction. */
  transaction(work: (tx: PGliteTransactionLike) => Promise<unknown>): Promise<unknown>;
}

/** What is used of the result of a query. */
export interface PGliteResultLike {
  /** The rows. */
  readonly rows: unknown[];
  /** How many rows it changed. */
  readonly affectedRows?: number;
}

/** What a transaction hands to the user. */
export type PGliteHandle<Database> = Database extends { transaction(work: (tx: infer Transaction) => never): unknown }
  ? Transaction
  : never;

/**
 * A PostgreSQL in this process: PGlite, one transaction at a time.
 *
 * @example
 * ```ts
 * const db = new PGlite("./shop");
 * const ac = aftercommit({ databases: { main: pglite(db) } });
 * ```
 */
export function pglite<Database extends PGliteLike>(db: Database): InteractiveDatabase<PGliteHandle<Database>> {
  return sqlDatabase(pgliteDriver(db)) as InteractiveDatabase<PGliteHandle<Database>>;
}

function pgliteDriver(db: PGliteLike): SqlDriver<PGliteTransactionLike, never, never> {
  const transaction = async <T>(
    work: (tx: PGliteTransactionLike, execute: Execute) => Promise<T>,
    level: string,
  ): Promise<T> => {
    const run = async (tx: PGliteTransactionLike): Promise<T> => {
      if (level !== "") await tx.query(`SET TRANSACTION ${level}`);
      const value = await work(tx, executeOn(tx));
      // The work may have ended it by itself, and older releases take the end of an aborted transaction for a COMMIT.
      if (await isOpen(tx)) return value;
      throw new RolledBackByDatabase("the transaction was over before its COMMIT");
    };
    // PGlite lets transactions wait without end, also one that waits for the one around it.
    return inTurn(db, () => db.transaction(run) as Promise<T>);
  };

  return {
    dialect: postgresql,
    async transact(statements) {
      if (statements.length === 1) return [await inTurn(db, () => executeOn(db)(statements[0]!))];
      const work = (_: PGliteTransactionLike, execute: Execute) => executeAll(statements, execute);
      return transaction(work, isolationLevel("read committed"));
    },
    transaction: (work, { isolation }) => transaction(work, isolationLevel(isolation)),
    isOpen,
  };
}

function isOpen(tx: PGliteTransactionLike): Promise<boolean> {
  return takesSavepoint((text) => tx.query(text));
}

function executeOn(tx: PGliteTransactionLike): Execute {
  return async ({ text, values }) => {
    const { rows, affectedRows } = await tx.query(numbered(text), [...values]);
    return { rows: rows as Record<string, unknown>[], changes: affectedRows ?? 0 };
  };
}
