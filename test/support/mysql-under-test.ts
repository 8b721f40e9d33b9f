import { setTimeout as wait } from "node:timers/promises";
import { createConnection, createPool } from "mysql2/promise";
import type { Connection, Pool, PoolConnection, PoolOptions } from "mysql2/promise";
import { onTestFinished } from "vitest";
import { mysql2 } from "../../adapters/sql/index.ts";
import type { InteractiveDatabase, SqlDatabase } from "../../adapters/sql/index.ts";
import type { DatabaseUnderTest } from "../../src/testing/index.ts";
import type { MariadbAddress, MariadbServerProcess } from "./mariadb-server.ts";

/** Inserts a text into the test's own table. */
export const INSERT_TEXT = "INSERT INTO texts (text) VALUES (?)";

/** What a test sees of a database besides its driver. */
export interface MysqlUnderTest extends Pick<DatabaseUnderTest, "texts" | "advance"> {
  /** A connection of the test's own. */
  readonly connection: Connection;
  plant(transactionId: string, messages: string, source: string): Promise<void>;
}

/** Makes our tables and the test's own in an empty database. */
export async function prepareMysql(
  address: MariadbAddress,
  database: Pick<SqlDatabase, "createTables">,
): Promise<MysqlUnderTest> {
  const connection = await createConnection({ ...address });
  await database.createTables();
  await connection.query("CREATE TABLE texts (text VARCHAR(200) COLLATE utf8mb4_bin PRIMARY KEY) ENGINE = InnoDB");
  return {
    connection,
    async texts() {
      const [rows] = await connection.query("SELECT text FROM texts ORDER BY text");
      return (rows as { text: string }[]).map(({ text }) => text);
    },
    async plant(transactionId, messages, source) {
      await connection.execute(
        `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
         VALUES (?, 'decision', 'committed', ?, ?, 0, 0)`,
        [transactionId, source, messages],
      );
    },
    advance: (millis) => wait(millis),
  };
}

/** An empty database with our tables, through two pools; all of it ends with the test. */
export async function openMysql(
  server: MariadbServerProcess,
  options: PoolOptions = {},
): Promise<
  MysqlUnderTest & {
    readonly address: MariadbAddress;
    readonly pool: Pool;
    readonly database: InteractiveDatabase<PoolConnection>;
    readonly other: InteractiveDatabase<PoolConnection>;
  }
> {
  const address = await server.createDatabase();
  const pool = createPool({ ...address, ...options });
  const second = createPool({ ...address });
  const database = mysql2(pool);
  const other = mysql2(second);
  const tested = await prepareMysql(address, other);
  onTestFinished(async () => {
    tested.connection.destroy();
    await Promise.all([pool.end(), second.end()]);
  });
  return { ...tested, address, pool, database, other };
}
