import { sqlDatabase } from "../database.ts";
import type { SqlDatabase } from "../database.ts";
import { sqlite } from "../dialects/sqlite.ts";
import type { SqlDriver } from "../driver.ts";
import { inTurn } from "../serial.ts";
import type { SqlResult, SqlStatement, SqlValue } from "../statement.ts";

/** What is used of a client of @libsql/client, by shape. */
export interface LibsqlLike<Transaction, Statement, Result> {
  /** Runs a transaction. */
  transaction(mode: "write"): Promise<Transaction>;
  /** Runs statements as one transaction. */
  batch(statements: (Statement | LibsqlStatement)[], mode: "write"): Promise<Result[]>;
  /** `"file"` where the database is a file of this process. */
  readonly protocol?: string;
}

/** What is used of its transactions. */
export interface LibsqlTransactionLike<Result = LibsqlResultLike> {
  /** Whether it is over. */
  readonly closed: boolean;
  /** Runs a statement. */
  execute(statement: LibsqlStatement): Promise<Result>;
  /** Commits it. */
  commit(): Promise<void>;
  /** Rolls it back. */
  rollback(): Promise<void>;
  /** Ends it. */
  close(): void;
}

/** A statement of ours, as the client takes it. */
export interface LibsqlStatement {
  /** The text. */
  sql: string;
  /** Its values. */
  args: SqlValue[];
}

/** What is used of the result of a statement. */
export interface LibsqlResultLike {
  /** The rows. */
  readonly rows: readonly unknown[];
  /** How many rows it changed. */
  readonly rowsAffected: number;
}

/** A libSQL database: transactions that stay open while code runs, and batches. */
export type LibsqlDatabase<Transaction, Statement, Results> = SqlDatabase<Transaction, Statement, Results> & {
  readonly run: NonNullable<SqlDatabase<Transaction, Statement, Results>["run"]>;
  readonly batch: NonNullable<SqlDatabase<Transaction, Statement, Results>["batch"]>;
};

/**
 * libSQL, on a server or in a file, through @libsql/client. Not an embedded replica: it does not know what was decided.
 *
 * @example
 * ```ts
 * const client = createClient({ url: process.env.TURSO_URL, authToken: process.env.TURSO_TOKEN });
 * const ac = aftercommit({ databases: { main: libsql(client) } });
 * ```
 */
export function libsql<Transaction extends LibsqlTransactionLike, Statement, Result extends LibsqlResultLike>(
  client: LibsqlLike<Transaction, Statement, Result>,
): LibsqlDatabase<Transaction, Statement, readonly Result[]> {
  // On a file, BEGIN waits for the transaction before it with this whole process stopped, and so that one never ends.
  const turn = <T>(act: () => Promise<T>): Promise<T> => (client.protocol === "file" ? inTurn(client, act) : act());
  const runBatch = (statements: (Statement | LibsqlStatement)[]): Promise<Result[]> =>
    turn(() => client.batch(statements, "write"));

  const driver: SqlDriver<Transaction, Statement, readonly Result[]> = {
    dialect: sqlite,
    transact: async (statements) => (await runBatch(statements.map(libsqlStatement))).map(resultOf),
    transaction: (work) =>
      turn(async () => {
        const transaction = await client.transaction("write");
        try {
          const value = await work(transaction, async (statement) =>
            resultOf(await transaction.execute(libsqlStatement(statement))),
          );
          await transaction.commit();
          return value;
        } finally {
          // Rolls back what is open still.
          transaction.close();
        }
      }),
    // A server refuses by itself what comes after an end that it has not told of yet.
    isOpen: ({ closed }) => !closed,
    async batch(before, statements, after) {
      const all = [...before.map(libsqlStatement), ...statements, ...after.map(libsqlStatement)];
      return (await runBatch(all)).slice(before.length, before.length + statements.length);
    },
  };
  return sqlDatabase(driver) as LibsqlDatabase<Transaction, Statement, readonly Result[]>;
}

function libsqlStatement({ text, values }: SqlStatement): LibsqlStatement {
  return { sql: text, args: [...values] };
}

function resultOf({ rows, rowsAffected }: LibsqlResultLike): SqlResult {
  return { rows: rows as SqlResult["rows"], changes: rowsAffected };
}
