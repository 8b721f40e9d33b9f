import { Pool } from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { nodePostgres } from "../../adapters/sql/index.ts";
import { DatabaseNotReadyError } from "../../src/errors.ts";
import type { Database } from "../../src/ports/database.ts";
import { newConsumed, newDecision } from "../../src/testing/database-samples.ts";
import { startPostgresServer } from "../support/postgres-server.ts";

/** A database that cannot carry our rows says so, with what to run. */
const server = await startPostgresServer();
afterAll(() => server?.stop());

async function world() {
  const url = await server!.createDatabase();
  const role = `app_${new URL(url).pathname.slice(1)}`;
  const owner = new Pool({ connectionString: url });
  const appUrl = new URL(url);
  appUrl.username = role;
  await owner.query(`CREATE ROLE ${role} LOGIN`);
  const app = new Pool({ connectionString: appUrl.href });
  return {
    role,
    owner,
    database: nodePostgres(app),
    ownersDatabase: nodePostgres(owner),
    async [Symbol.asyncDispose]() {
      await Promise.all([app.end(), owner.end()]);
    },
  };
}

/** What each use of a database that is not ready comes to. */
async function uses(database: Database<unknown, never>): Promise<unknown[]> {
  const thrown = (act: Promise<unknown>) =>
    act.then(
      (value) => value,
      (error: unknown) => error,
    );
  const told = (act: Promise<{ status: string }>) =>
    act.then((outcome) => ("error" in outcome && outcome.status === "rolledBack" ? outcome.error : outcome));
  const riders = { consumed: newConsumed(), decision: newDecision(1) };
  return Promise.all([
    thrown(database.verify()),
    told(database.run!(async ({ decide }) => decide(newDecision(1)))),
    told(database.run!(async ({ consume }) => consume(newConsumed()))),
    told(database.write(riders)),
    thrown(
      database.barrier.claimUnsettled({
        source: newDecision(1).source,
        limit: 1,
        leaseMillis: 1,
        token: "t",
      }),
    ),
    thrown(database.inbox.claim(newConsumed().claim, 1)),
  ]);
}

describe.skipIf(server === undefined)("a database", () => {
  test("without our tables tells the SQL that makes them, and is ready once that has run", async () => {
    await using w = await world();
    for (const error of await uses(w.ownersDatabase)) {
      expect(error).toBeInstanceOf(DatabaseNotReadyError);
      expect((error as DatabaseNotReadyError).sql).toContain("CREATE TABLE");
    }
    const error: unknown = await w.ownersDatabase.verify().catch((thrown: unknown) => thrown);
    await w.owner.query((error as DatabaseNotReadyError).sql!);
    await w.ownersDatabase.verify();
    expect((await w.ownersDatabase.run(async ({ decide }) => decide(newDecision(1)))).status).toBe("committed");
  });

  test("whose user may not use our tables tells the SQL that allows it, and is ready once that has run", async () => {
    await using w = await world();
    await w.ownersDatabase.createTables();
    for (const error of await uses(w.database)) {
      expect(error).toBeInstanceOf(DatabaseNotReadyError);
      expect((error as DatabaseNotReadyError).sql).toContain("GRANT");
    }
    const error: unknown = await w.database.verify().catch((thrown: unknown) => thrown);
    await w.owner.query((error as DatabaseNotReadyError).sql!.replaceAll("your_application", w.role));
    await w.database.verify();
    expect((await w.database.run(async ({ decide }) => decide(newDecision(1)))).status).toBe("committed");
  });

  test("whose user lacks one privilege of many is not ready", async () => {
    await using w = await world();
    await w.ownersDatabase.createTables();
    await w.owner.query(`GRANT ALL ON aftercommit_barrier, aftercommit_inbox TO ${w.role}`);
    await w.database.verify();
    for (const table of ["aftercommit_barrier", "aftercommit_inbox"]) {
      for (const privilege of ["SELECT", "INSERT", "UPDATE", "DELETE"]) {
        await w.owner.query(`REVOKE ${privilege} ON ${table} FROM ${w.role}`);
        await expect(w.database.verify(), `${privilege} on ${table}`).rejects.toThrow(DatabaseNotReadyError);
        await w.owner.query(`GRANT ${privilege} ON ${table} TO ${w.role}`);
      }
    }
    await w.database.verify();
  });

  test("that lacks a column of a later release is not ready", async () => {
    await using w = await world();
    await w.ownersDatabase.createTables();
    await w.owner.query("ALTER TABLE aftercommit_barrier DROP COLUMN claim");
    await expect(w.ownersDatabase.verify()).rejects.toThrow(DatabaseNotReadyError);
  });

  test("that takes no writes is not ready, and says that it may be a replica", async () => {
    await using w = await world();
    await w.ownersDatabase.createTables();
    await w.owner.query(`GRANT ALL ON aftercommit_barrier, aftercommit_inbox TO ${w.role}`);
    await w.owner.query(`ALTER ROLE ${w.role} SET default_transaction_read_only = on`);
    for (const error of await uses(w.database)) {
      expect(error).toBeInstanceOf(DatabaseNotReadyError);
      expect((error as DatabaseNotReadyError).message).toContain("replica");
    }
  });

  test("tells of a table of the user's own that is missing in the database's own words", async () => {
    await using w = await world();
    await w.ownersDatabase.createTables();
    const outcome = await w.ownersDatabase.run(async ({ sql }) => sql.query("SELECT * FROM orders"));
    expect(outcome).toMatchObject({ status: "rolledBack", error: { code: "42P01" } });
    expect("error" in outcome && DatabaseNotReadyError.is(outcome.error)).toBe(false);
  });

  test("that ten processes prepare at once is ready", async () => {
    await using w = await world();
    await Promise.all(Array.from({ length: 10 }, () => w.ownersDatabase.createTables()));
    await w.ownersDatabase.verify();
  });
});
