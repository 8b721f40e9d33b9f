import { setTimeout as wait } from "node:timers/promises";
import type { SqlDatabase } from "../../adapters/sql/index.ts";
import type { DatabaseUnderTest } from "../../src/testing/index.ts";

/** Runs a statement of the test's own; resolves to its rows. */
export type Ask = (text: string, values?: string[]) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** The statement by which a test inserts a text into its own table. */
export const INSERT_TEXT = "INSERT INTO texts (text) VALUES ($1)";

/** Makes our tables and the test's own; resolves to what the contract suite needs besides the database. */
export async function preparePostgres(
  database: Pick<SqlDatabase, "createTables">,
  ask: Ask,
): Promise<Pick<DatabaseUnderTest, "texts" | "plant" | "advance">> {
  await database.createTables();
  await ask("CREATE TABLE texts (text text PRIMARY KEY)");
  return {
    texts: async () => (await ask('SELECT text FROM texts ORDER BY text COLLATE "C"')).map(({ text }) => String(text)),
    plant: async (transactionId, messages, source) => {
      await ask(
        `INSERT INTO aftercommit_barrier (transaction_id, kind, verdict, source, messages, created, due)
         VALUES ($1, 'decision', 'committed', $2, $3, 0, 0)`,
        [transactionId, source, messages],
      );
    },
    advance: (millis) => wait(millis),
  };
}
