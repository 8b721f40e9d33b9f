import { setTimeout as wait } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { dialectOf } from "../../../adapters/sql/index.ts";
import type { Dialect, InteractiveDatabase } from "../../../adapters/sql/index.ts";
import type { DatabaseUnderTest } from "../../../src/testing/index.ts";

/** Runs statements outside of the library and of the ORM that is tested. */
export type Ask = (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** Asks a SQLite file through better-sqlite3. */
export function askSqlite(connection: Database): Ask {
  return (text) => {
    const statement = connection.prepare(text);
    if (statement.reader) return Promise.resolve(statement.all() as Record<string, unknown>[]);
    statement.run();
    return Promise.resolve([]);
  };
}

/** The test's own table, which ORMs know as `texts`. */
export const TEXTS_TABLE: Readonly<Record<Dialect["name"], string>> = {
  postgresql: "CREATE TABLE IF NOT EXISTS texts (text text PRIMARY KEY)",
  sqlite: "CREATE TABLE IF NOT EXISTS texts (text TEXT PRIMARY KEY)",
  mysql: "CREATE TABLE IF NOT EXISTS texts (text VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY)",
};
const TABLES = ["texts", "aftercommit_barrier", "aftercommit_inbox"];

/** Makes the tables that are not there, and empties those that are. */
export async function freshTables(dialect: Dialect["name"], ask: Ask): Promise<void> {
  for (const text of [TEXTS_TABLE[dialect], ...dialectOf(dialect).tables]) await ask(text);
  await emptyTables(ask);
}

/** Empties the tables. */
export async function emptyTables(ask: Ask): Promise<void> {
  for (const table of TABLES) await ask(`DELETE FROM ${table}`);
}

/** What a suite needs of a database besides the database. */
export function seenBy(ask: Ask): Pick<DatabaseUnderTest, "texts" | "plant" | "advance"> {
  return {
    texts: async () => (await ask("SELECT text FROM texts ORDER BY text")).map(({ text }) => String(text)),
    plant: async (transactionId, messages, source) => {
      await ask(
        `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
         VALUES ('${transactionId}', 'decision', 'committed', '${source}', '${messages}', 0, 0)`,
      );
    },
    advance: (millis) => wait(millis),
  };
}

/** Two connections' databases under test, with tables that are theirs for the time of one test. */
export async function ormUnderTest<Sql>(
  dialect: Dialect["name"],
  ask: Ask,
  databases: readonly [InteractiveDatabase<Sql>, InteractiveDatabase<Sql>],
  insert: (sql: Sql, text: string) => Promise<unknown>,
  more: Partial<DatabaseUnderTest<Sql, never>> = {},
): Promise<DatabaseUnderTest<Sql, never>> {
  await freshTables(dialect, ask);
  const [database, other] = databases;
  return {
    database,
    other,
    insert: async (sql, text) => void (await insert(sql, text)),
    ...seenBy(ask),
    dispose: () => Promise.resolve(),
    ...more,
  };
}
