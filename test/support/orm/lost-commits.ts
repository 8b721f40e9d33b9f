import { expect } from "vitest";
import type { InteractiveDatabase } from "../../../adapters/sql/index.ts";
import type { NewDecision } from "../../../src/ports/database.ts";
import type { ContractRunner } from "../../../src/testing/index.ts";
import { poolOf } from "./postgres-pool.ts";
import type { CommitFate } from "./postgres-pool.ts";
import { freshTables, seenBy } from "./shop-tables.ts";

/** An ORM on a PostgreSQL whose COMMITs can be lost. */
export interface LossyDatabase<Sql> {
  readonly database: InteractiveDatabase<Sql>;
  readonly connectionString: string;
  lose(fate: CommitFate): void;
  insert(sql: Sql, text: string): PromiseLike<unknown>;
}

const ID = "019f3b2c-0001-7abc-8def-0123456789ab";
const DECISION: NewDecision = {
  transactionId: ID,
  source: "https://shop.example.com",
  records: [],
  at: 1_760_000_000_000,
  dueMillis: 0,
};

/** What must hold where a COMMIT is lost: what is certain is told, and nothing else. */
export function losesCommits<Sql>({ test }: ContractRunner, tested: LossyDatabase<Sql>): void {
  const { database, connectionString, lose, insert } = tested;
  const withTables = async (check: (texts: () => Promise<readonly string[]>) => Promise<void>): Promise<void> => {
    const pool = poolOf(connectionString);
    const ask = async (text: string) => (await pool.query<Record<string, unknown>>(text)).rows;
    try {
      await freshTables("postgresql", ask);
      await check(seenBy(ask).texts);
    } finally {
      await pool.end();
    }
  };
  const commit = () =>
    database.run(async (unit) => {
      await insert(unit.sql, "a");
      await unit.decide(DECISION);
    });

  test("a COMMIT whose answer is lost is in doubt, and the decision tells that it was done", () =>
    withTables(async (texts) => {
      lose("reply lost");
      expect((await commit()).status).toBe("unknown");
      expect((await database.barrier.find([ID])).get(ID)?.state).toBe("decided");
      expect(await texts()).toEqual(["a"]);
    }));

  test("a COMMIT that does not arrive is in doubt, and there is no decision", () =>
    withTables(async (texts) => {
      lose("connection lost before");
      expect((await commit()).status).toBe("unknown");
      expect((await database.barrier.find([ID])).size).toBe(0);
      expect(await texts()).toEqual([]);
    }));

  test("a connection that is lost before the COMMIT is a certain rollback, with what the work met", () =>
    withTables(async (texts) => {
      const outcome = await database.run(async (unit) => {
        await insert(unit.sql, "a");
        const pool = poolOf(connectionString);
        await pool.query(
          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        await pool.end();
        await unit.decide(DECISION);
      });
      expect(outcome.status).toBe("rolledBack");
      expect((await database.barrier.find([ID])).size).toBe(0);
      expect(await texts()).toEqual([]);
    }));

  test("a constraint that fails at COMMIT is a certain rollback", () =>
    withTables(async (texts) => {
      const pool = poolOf(connectionString);
      await pool.query("DROP TABLE IF EXISTS late_texts");
      await pool.query(
        "CREATE TABLE late_texts (text text PRIMARY KEY REFERENCES texts DEFERRABLE INITIALLY DEFERRED)",
      );
      await pool.query(`CREATE OR REPLACE FUNCTION copy_text() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO late_texts VALUES (NEW.text || '?'); RETURN NEW; END $$`);
      await pool.query("CREATE TRIGGER copy_text AFTER INSERT ON texts FOR EACH ROW EXECUTE FUNCTION copy_text()");
      try {
        const outcome = await commit();
        expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
        expect((await database.barrier.find([ID])).size).toBe(0);
        expect(await texts()).toEqual([]);
      } finally {
        await pool.query("DROP TRIGGER copy_text ON texts");
        await pool.query("DROP TABLE late_texts");
        await pool.end();
      }
    }));

  test("work after an error that it swallowed is not told to be committed", () =>
    withTables(async (texts) => {
      await commit();
      const outcome = await database.run(async (unit) => {
        await insert(unit.sql, "b");
        await Promise.resolve(insert(unit.sql, "a")).catch(() => undefined);
      });
      expect(outcome.status).toBe("rolledBack");
      expect(await texts()).toEqual(["a"]);
    }));
}
