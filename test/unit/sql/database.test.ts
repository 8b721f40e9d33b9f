import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { grantsOf, nodeSqlite, schemaOf, sqlDatabase } from "../../../adapters/sql/index.ts";
import type { SqlDriver, SqlStatement } from "../../../adapters/sql/index.ts";
import { dialectOf } from "../../../adapters/sql/schema.ts";
import { DatabaseNotReadyError } from "../../../src/errors.ts";
import { newConsumed, newDecision } from "../../../src/testing/database-samples.ts";
import { AT, sampleId } from "../../../src/testing/samples.ts";

/** The path of a database file with our tables, in a directory of its own. */
async function preparedFile(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "aftercommit-sql-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "shop.sqlite");
  const setup = new DatabaseSync(path);
  await nodeSqlite(setup).createTables();
  setup.close();
  return path;
}

/** What a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a rejection");
}

test("tables that are missing are told with the SQL to run, at every call of ours", async () => {
  const database = nodeSqlite(new DatabaseSync(":memory:"));
  for (const call of [
    database.verify(),
    database.barrier.find([sampleId(1)]),
    database.barrier.rollBack(sampleId(1), AT, 0),
    database.inbox.look(newConsumed().claim),
    database.reader.counts("x"),
  ]) {
    const error = await rejection(call);
    expect(DatabaseNotReadyError.is(error)).toBe(true);
    expect(error).toMatchObject({ code: "ERR_DATABASE_NOT_READY", sql: schemaOf("sqlite") });
    expect(error.message).toContain(schemaOf("sqlite"));
  }
});

test("tables that are missing are told by the outcome of a transaction, with the SQL to run", async () => {
  const database = nodeSqlite(new DatabaseSync(":memory:"));
  const outcomes = [
    await database.run((unit) => unit.decide(newDecision(1))),
    await database.run((unit) => unit.consume(newConsumed())),
    await database.write({ decision: newDecision(1) }),
  ];
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rolledBack", retryable: false });
    const error = "error" in outcome ? outcome.error : undefined;
    expect(DatabaseNotReadyError.is(error) && error.sql).toBe(schemaOf("sqlite"));
  }
});

test("a missing table of the user's comes through as their own error", async () => {
  const connection = new DatabaseSync(":memory:");
  const database = nodeSqlite(connection);
  await database.createTables();
  const outcome = await database.run(async (unit) => {
    unit.sql.exec("INSERT INTO orders VALUES (1)");
  });
  expect(outcome).toMatchObject({ status: "rolledBack", error: { message: "no such table: orders" } });
  expect(DatabaseNotReadyError.is("error" in outcome ? outcome.error : undefined)).toBe(false);
});

test("the SQL to run makes a database ready, and does nothing where it is ready", async () => {
  const connection = new DatabaseSync(":memory:");
  connection.exec(schemaOf("sqlite"));
  connection.exec(schemaOf("sqlite"));
  const database = nodeSqlite(connection);
  await database.verify();
  await database.createTables();
  await database.verify();
});

test("a table of another release is told like a missing one", async () => {
  const connection = new DatabaseSync(":memory:");
  connection.exec(
    "CREATE TABLE aftercommit_barrier (transaction_id TEXT, kind TEXT, PRIMARY KEY (transaction_id, kind))",
  );
  expect(await rejection(nodeSqlite(connection).verify())).toMatchObject({ sql: schemaOf("sqlite") });
});

test("a database that is opened for reading is not ready", async () => {
  const connection = new DatabaseSync(await preparedFile(), { readOnly: true });
  const error = await rejection(nodeSqlite(connection).verify());
  connection.close();
  expect(error).toMatchObject({ code: "ERR_DATABASE_NOT_READY", sql: undefined });
  expect(error.message).toContain("read-only");
});

test("a database that is ready is left as it is by the check", async () => {
  const connection = new DatabaseSync(await preparedFile());
  const database = nodeSqlite(connection);
  await database.write({ consumed: newConsumed(), decision: newDecision(1) });
  const rows = () =>
    ["aftercommit_barrier", "aftercommit_inbox"].map((t) => connection.prepare(`SELECT * FROM ${t}`).all());
  const before = rows();
  await database.verify();
  expect(rows()).toEqual(before);
  connection.close();
});

/** A database whose driver answers as it is told, and the statements that it was given. */
function scripted(answer: (statement: SqlStatement) => Record<string, unknown>[], more: Partial<Driver> = {}) {
  const given: string[] = [];
  const driver: Driver = {
    dialect: dialectOf("postgresql"),
    transact: async (statements) =>
      statements.map((statement) => {
        given.push(statement.text);
        return { rows: answer(statement), changes: 0 };
      }),
    ...more,
  };
  return { database: sqlDatabase(driver), given };
}
type Driver = SqlDriver<object, string, readonly unknown[]>;

test.each([true, 1, "1", 1n])("a replica is not ready, whose driver says %o", async (replica) => {
  const { database } = scripted(({ text }) => (text.includes("pg_is_in_recovery") ? [{ replica }] : []));
  expect(await rejection(database.verify())).toMatchObject({ code: "ERR_DATABASE_NOT_READY" });
});

test.each([false, 0, "0", 0n])("a primary is ready, whose driver says %o", async (replica) => {
  const { database } = scripted(({ text }) => (text.includes("pg_is_in_recovery") ? [{ replica }] : []));
  await database.verify();
});

test("a privilege that is missing is told with the grants to run", async () => {
  const { database } = scripted(() => {
    throw Object.assign(new Error("permission denied for table aftercommit_barrier"), { code: "42501" });
  });
  const error = await rejection(database.barrier.find([sampleId(1)]));
  expect(error).toMatchObject({ code: "ERR_DATABASE_NOT_READY", sql: grantsOf("postgresql") });
});

test("a batch whose own key was taken by a value that reads like our table is neither a duplicate nor late", async () => {
  const error = Object.assign(new Error('duplicate key value violates unique constraint "users_name_key"'), {
    code: "23505",
    detail: "Key (name)=(aftercommit_inbox aftercommit_barrier) already exists.",
  });
  const { database } = scripted(() => [], {
    batch: async () => {
      throw error;
    },
  });
  const riders = { consumed: newConsumed(), decision: newDecision(1) };
  expect(await database.batch!(["insert"], riders)).toMatchObject({ status: "rolledBack", error });
});

test("a batch whose answer was lost is in doubt, and one that was refused is not", async () => {
  for (const [code, status] of [
    ["ECONNRESET", "unknown"],
    ["57P01", "unknown"],
    ["23514", "rolledBack"],
    ["40001", "rolledBack"],
  ] as const) {
    const { database } = scripted(() => [], {
      batch: async () => {
        throw Object.assign(new Error("failed"), { code });
      },
    });
    const outcome = await database.batch!(["insert"], { decision: newDecision(1) });
    expect(outcome).toMatchObject({ status, ...(code === "40001" ? { retryable: true } : {}) });
  }
});

test("a COMMIT whose answer was lost is in doubt, and an error before it is not", async () => {
  const lost = Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
  const { database } = scripted(() => [], {
    transaction: async (work) => {
      await work({}, async () => ({ rows: [], changes: 1 }));
      throw lost;
    },
  });
  expect(await database.run!((unit) => unit.decide(newDecision(1)))).toEqual({ status: "unknown", error: lost });
  const before = await database.run!(async () => {
    throw lost;
  });
  expect(before).toEqual({ status: "rolledBack", error: lost, retryable: false });
});

test("a begin that fails is certain: nothing was done", async () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  const { database } = scripted(() => [], {
    transaction: async () => {
      throw refused;
    },
  });
  expect(await database.run!(async () => 1)).toEqual({ status: "rolledBack", error: refused, retryable: false });
});
