import type { Isolation, UnitOptions } from "../../../src/ports/database.ts";
import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import type { Dialect } from "../dialect.ts";
import { RolledBackByDatabase } from "../failure.ts";
import { dialectOf } from "../schema.ts";
import type { SqlResult, SqlStatement } from "../statement.ts";
import { executeAll, ormStatement, ormTransaction, READ_COMMITTED } from "./orm-transaction.ts";
import type { RunTransaction } from "./orm-transaction.ts";

/** What is used of a `Kysely`, by shape. */
export interface KyselyLike {
  /** Runs a transaction. */
  transaction(): { execute(work: never): unknown };
}

/** The handle that `run` gives: the `Transaction` of that Kysely. */
export type KyselyTransaction<Db extends KyselyLike> = Parameters<ReturnType<Db["transaction"]>["execute"]>[0] extends (
  tx: infer Tx,
) => unknown
  ? Tx
  : never;

/** What Kysely does not tell of itself. */
export interface KyselyOptions {
  /** What the database speaks. */
  readonly dialect: Dialect["name"];
}

/**
 * A database through Kysely, of any dialect of its for PostgreSQL, SQLite or MySQL.
 *
 * @example
 * ```ts
 * const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
 * const ac = aftercommit({ databases: { main: kysely(db, { dialect: "postgresql" }) } });
 * // in a handler
 * await tx.run("main", async (sql) => {
 *   await sql.insertInto("orders").values({ id, cents }).execute();
 * });
 * ```
 */
export function kysely<Db extends KyselyLike>(
  db: Db,
  { dialect: name }: KyselyOptions,
): InteractiveDatabase<KyselyTransaction<Db>> {
  const root = db as unknown as Executor;
  const dialect = dialectOf(name);
  const begin =
    ({ isolation }: UnitOptions): RunTransaction<Executor> =>
    async (work) => {
      const transaction = root.transaction();
      // SQLite has one isolation level only.
      const chosen =
        isolation === undefined || name === "sqlite" ? transaction : transaction.setIsolationLevel(isolation);
      try {
        return await chosen.execute(work);
      } catch (error) {
        if (!isAborted(error)) throw error;
        throw new RolledBackByDatabase("an error had ended the transaction", { cause: error });
      }
    };
  const execute = (executor: Executor, statement: SqlStatement): Promise<SqlResult> =>
    executeCompiled(executor, ormStatement(dialect, statement));

  const database = sqlDatabase<Executor, never, never>({
    dialect,
    async transact(statements) {
      const [first, ...others] = statements;
      if (first !== undefined && others.length === 0) return [await execute(root, first)];
      return ormTransaction(dialect, begin(READ_COMMITTED), execute, (_, executeOne) =>
        executeAll(statements, executeOne),
      );
    },
    transaction: (work, options) => ormTransaction(dialect, begin(options), execute, work),
  });
  return database as unknown as InteractiveDatabase<KyselyTransaction<Db>>;
}

/** What is used of a Kysely and its transactions alike. */
interface Executor {
  transaction(): TransactionBuilder;
  withoutPlugins(): Executor;
  executeQuery(query: object): Promise<{ readonly rows: SqlResult["rows"]; readonly numAffectedRows?: bigint }>;
}

interface TransactionBuilder {
  setIsolationLevel(level: Isolation): TransactionBuilder;
  execute<T>(work: (tx: Executor) => Promise<T>): Promise<T>;
}

/** A query as Kysely compiles them. Plugins are left out: one may parse what looks like JSON, and our rows hold texts. */
async function executeCompiled(executor: Executor, { text, values }: SqlStatement): Promise<SqlResult> {
  const { rows, numAffectedRows } = await executor.withoutPlugins().executeQuery({
    sql: text,
    parameters: [...values],
    query: { kind: "RawNode", sqlFragments: [text], parameters: [] },
    queryId: { queryId: "aftercommit" },
  });
  return { rows, changes: Number(numAffectedRows ?? 0n) };
}

/** PostgreSQL answers the COMMIT of a transaction that met an error with a ROLLBACK, and Kysely tells that by this. */
function isAborted(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortedTransactionError";
}
