import type { Isolation } from "../../../src/ports/database.ts";
import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { mysql } from "../dialects/mysql.ts";
import type { SqlDriver } from "../driver.ts";
import { inTurn } from "../serial.ts";
import type { Execute, SqlResult } from "../statement.ts";
import { mysqlText } from "./mysql-text.ts";

/** What is used of a connection of mysql2/promise, by shape. */
export interface Mysql2ConnectionLike {
  /** Runs a statement. */
  query(options: Mysql2Query): Promise<readonly [result: unknown, fields: unknown]>;
  /** Ends the connection. */
  destroy(): void;
}

/** What is used of a pool of mysql2/promise, by shape. */
export interface Mysql2PoolLike<Connection extends Mysql2ConnectionLike> {
  /** Lends a connection. */
  getConnection(): Promise<Connection & { release(): void }>;
}

/** A statement of ours, and how its rows are to look, whatever the connection's options are. */
export interface Mysql2Query {
  /** The text. */
  sql: string;
  /** Rows as arrays. */
  rowsAsArray: boolean;
  /** Columns by table. */
  nestTables: boolean;
  /** Reads a value. */
  typeCast: (field: unknown, next: () => unknown) => unknown;
}

const LEVELS: Readonly<Record<Isolation, string>> = {
  "read committed": "READ COMMITTED",
  "repeatable read": "REPEATABLE READ",
  serializable: "SERIALIZABLE",
};
const AUTOCOMMIT = 2;

/**
 * MySQL or MariaDB through mysql2/promise: a pool, or a single connection, on which transactions take turns.
 *
 * Within a transaction, statements that commit by themselves (CREATE, ALTER, TRUNCATE, …) break it in two: leave them out.
 *
 * @example
 * ```ts
 * const pool = mysql.createPool(process.env.DATABASE_URL);
 * const ac = aftercommit({ databases: { main: mysql2(pool) } });
 * ```
 */
export function mysql2<Connection extends Mysql2ConnectionLike>(
  pool: Mysql2PoolLike<Connection>,
): InteractiveDatabase<Connection>;
/** The same with a single connection. */
export function mysql2<Connection extends Mysql2ConnectionLike>(
  connection: Connection,
): InteractiveDatabase<Connection>;
export function mysql2<Connection extends Mysql2ConnectionLike>(
  database: Mysql2PoolLike<Connection> | Connection,
): InteractiveDatabase<Connection> {
  const withConnection = async <T>(act: (connection: Connection) => Promise<T>): Promise<T> => {
    if (!("getConnection" in database)) return inTurn(database, () => act(database));
    const connection = await database.getConnection();
    try {
      return await act(connection);
    } finally {
      // Does nothing to one that was destroyed.
      connection.release();
    }
  };

  const driver: SqlDriver<Connection, never, never> = {
    dialect: mysql,
    // READ COMMITTED takes no locks on gaps, in which the INSERTs of others would wait.
    transact: (statements) =>
      withConnection((connection) =>
        transaction(connection, "read committed", async () => {
          const results: SqlResult[] = [];
          for (const statement of statements) results.push(await executeOn(connection)(statement));
          return results;
        }),
      ),
    transaction: (work, { isolation }) =>
      withConnection((connection) => transaction(connection, isolation, () => work(connection, executeOn(connection)))),
  };
  return sqlDatabase(driver) as InteractiveDatabase<Connection>;
}

/** A connection of which it is not certain that its transaction has ended is closed: the server rolls back what is open then. */
async function transaction<T>(
  connection: Mysql2ConnectionLike,
  isolation: Isolation | undefined,
  work: () => Promise<T>,
): Promise<T> {
  // For the next transaction only; refused where one is open.
  if (isolation !== undefined) await query(connection, `SET TRANSACTION ISOLATION LEVEL ${LEVELS[isolation]}`);
  await orDestroy(connection, async () => {
    const { serverStatus = AUTOCOMMIT } = (await query(connection, "START TRANSACTION")) as { serverStatus?: number };
    if ((serverStatus & AUTOCOMMIT) !== 0) return;
    // Each statement after an error that ended the transaction would open another one.
    throw new Error(
      "Expected a connection with autocommit, found it off. Leave it on: transactions are begun and ended.",
    );
  });
  let value: T;
  try {
    value = await work();
  } catch (error) {
    await orDestroy(connection, () => query(connection, "ROLLBACK")).catch(() => undefined);
    throw error;
  }
  await orDestroy(connection, () => query(connection, "COMMIT"));
  return value;
}

async function orDestroy(connection: Mysql2ConnectionLike, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

function executeOn(connection: Mysql2ConnectionLike): Execute {
  return async (statement) => {
    const result = await query(connection, mysqlText(statement));
    if (Array.isArray(result)) return { rows: result as SqlResult["rows"], changes: 0 };
    const { affectedRows = 0, info = "" } = result as { affectedRows?: number; info?: string };
    // Without the flag FOUND_ROWS, a row that was set to what it was is not among the affected ones.
    const matched = /Rows matched: (\d+)/.exec(info)?.[1];
    return { rows: [], changes: matched === undefined ? affectedRows : Number(matched) };
  };
}

async function query(connection: Mysql2ConnectionLike, text: string): Promise<unknown> {
  const typeCast = (_: unknown, next: () => unknown): unknown => next();
  const [result] = await connection.query({ sql: text, rowsAsArray: false, nestTables: false, typeCast });
  return result;
}
