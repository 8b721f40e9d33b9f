import type { UnitOptions } from "../../../src/ports/database.ts";
import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import type { Dialect } from "../dialect.ts";
import type { SqlDriver } from "../driver.ts";
import { dialectOf } from "../schema.ts";
import { inTurn } from "../serial.ts";
import type { SqlResult, SqlStatement } from "../statement.ts";
import { drizzleQuery, resultOf } from "./drizzle-result.ts";
import type { DrizzleSqlTag } from "./drizzle-result.ts";
import { causeOf, isPostgresJs, postgresJsTransaction } from "./drizzle-session.ts";
import type { DrizzleSession } from "./drizzle-session.ts";
import { bringsRows, executeAll, ormStatement, ormTransaction, READ_COMMITTED } from "./orm-transaction.ts";
import type { RunTransaction } from "./orm-transaction.ts";
import { syncSqliteDriver } from "./sync-sqlite.ts";

/** What is used of a database of drizzle-orm, by shape. */
export interface DrizzleLike {
  /** Runs a transaction. */
  transaction(work: never, config?: never): unknown;
}

/**
 * The handle that `run` gives: drizzle's own transaction. Where drizzle is synchronous (better-sqlite3, bun:sqlite), whose own
 * transactions take no asynchronous work, it is the database itself, with the transaction open on its connection.
 */
export type DrizzleHandle<Db extends DrizzleLike> = Db extends { run(query: never): infer Ran }
  ? Ran extends PromiseLike<unknown>
    ? DrizzleTransaction<Db>
    : Db
  : DrizzleTransaction<Db>;

/** The transaction that drizzle gives to the function which it runs. */
export type DrizzleTransaction<Db extends DrizzleLike> = Parameters<Db["transaction"]>[0] extends (
  tx: infer Tx,
  ...rest: never
) => unknown
  ? Tx
  : never;

/** What drizzle does not tell of itself. */
export interface DrizzleOptions {
  /** The `sql` of drizzle-orm. */
  readonly sql: DrizzleSqlTag;
  /** What the database speaks. */
  readonly dialect: Dialect["name"];
}

/**
 * A database through drizzle-orm: PostgreSQL (node-postgres, postgres.js, PGlite, Neon over WebSockets), SQLite
 * (better-sqlite3, bun:sqlite, libSQL) and MySQL (mysql2). For D1, and for Neon over HTTP, there is {@link drizzleBatch}.
 *
 * @example
 * ```ts
 * import { sql } from "drizzle-orm";
 *
 * const db = drizzle(pool, { schema });
 * const ac = aftercommit({ databases: { main: drizzleOrm(db, { sql, dialect: "postgresql" }) } });
 * // in a handler
 * await tx.run("main", async (sql) => {
 *   await sql.insert(orders).values({ id, cents });
 * });
 * ```
 */
export function drizzleOrm<Db extends DrizzleLike>(
  db: Db,
  { sql, dialect }: DrizzleOptions,
): InteractiveDatabase<DrizzleHandle<Db>> {
  const session = db as unknown as DrizzleSession;
  const driver =
    session.resultKind === "sync" ? syncDriver(session, sql) : asyncDriver(session, sql, dialectOf(dialect));
  return sqlDatabase(driver) as unknown as InteractiveDatabase<DrizzleHandle<Db>>;
}

function asyncDriver(
  db: DrizzleSession,
  sql: DrizzleSqlTag,
  dialect: Dialect,
): SqlDriver<DrizzleSession, never, never> {
  const execute = async (session: DrizzleSession, statement: SqlStatement): Promise<SqlResult> => {
    // drizzle counts the placeholders of PostgreSQL itself.
    const query = drizzleQuery(sql, dialect.name === "mysql" ? ormStatement(dialect, statement) : statement);
    try {
      if (dialect.name !== "sqlite") return resultOf(await session.execute(query));
      return resultOf(await (bringsRows(statement) ? session.all(query) : session.run(query)));
    } catch (error) {
      throw causeOf(error);
    }
  };
  const begin =
    (config: object | undefined): RunTransaction<DrizzleSession> =>
    (work) => {
      if (isPostgresJs(db)) return postgresJsTransaction(db, config, work);
      const transaction = () => db.transaction(work, config);
      // libSQL waits for another transaction on its file with this whole process stopped, and so that one never ends.
      return db.$client?.protocol === "file" ? inTurn(db.$client, transaction) : transaction();
    };

  return {
    dialect,
    async transact(statements) {
      const [first, ...others] = statements;
      if (first !== undefined && others.length === 0) return [await execute(db, first)];
      const config = configOf(dialect, READ_COMMITTED);
      return ormTransaction(dialect, begin(config), execute, (_, executeOne) => executeAll(statements, executeOne));
    },
    transaction: (work, options) => ormTransaction(dialect, begin(configOf(dialect, options)), execute, work),
    // postgres.js rolls a whole transaction back for any error within, unless it met a savepoint of postgres.js' own.
    ...(isPostgresJs(db) && { savepoint: (tx, part) => tx.transaction(part) }),
  };
}

function configOf(dialect: Dialect, { isolation }: UnitOptions): object | undefined {
  if (dialect.name === "sqlite") return { behavior: "immediate" };
  return isolation === undefined ? undefined : { isolationLevel: isolation };
}

function syncDriver(db: DrizzleSession, sql: DrizzleSqlTag): SqlDriver<DrizzleSession, never, never> {
  return syncSqliteDriver(db, {
    exec: (text) => void db.run(drizzleQuery(sql, { text, values: [] })),
    execute(statement) {
      const query = drizzleQuery(sql, statement);
      return resultOf(bringsRows(statement) ? db.all(query) : db.run(query));
    },
    inTransaction: () => db.$client?.inTransaction ?? true,
  });
}
