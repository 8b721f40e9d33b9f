import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import BetterSqlite from "better-sqlite3";
import { DrizzleQueryError } from "drizzle-orm/errors";
import { afterAll, describe, expect, test } from "vitest";
import { symptomsOf } from "../../../adapters/sql/failure.ts";
import type { Failure } from "../../../adapters/sql/failure.ts";
import { dialectOf } from "../../../adapters/sql/index.ts";
import type { Dialect } from "../../../adapters/sql/index.ts";

const failureOf = (name: Dialect["name"], error: unknown): Failure => dialectOf(name).failureOf(symptomsOf(error));
/** An error as a driver makes it: an Error with fields. */
const made = (message: string, fields: object = {}): Error => Object.assign(new Error(message), fields);
/** The same error in the wrappers that ORMs put around it. */
const wrappers: Readonly<Record<string, (error: Error) => unknown>> = {
  "as it is": (error) => error,
  "as a cause": (error) => new Error("Failed query: insert into orders\nparams: ", { cause: error }),
  "as Drizzle wraps it": (error) => new DrizzleQueryError("insert into orders", [], error),
  "as a cause of a cause": (error) => new Error("outer", { cause: new Error("inner", { cause: error }) }),
  "as an original error": (error) => made("the client failed", { originalError: error }),
  "as Prisma's adapters keep it": (error) =>
    made("Raw query failed", { code: "P2010", meta: { driverAdapterError: { cause: error } } }),
};

const POSTGRESQL: readonly (readonly [Failure, string, object, string])[] = [
  [
    "unique",
    'duplicate key value violates unique constraint "aftercommit_barrier_pkey"',
    { code: "23505", severity: "ERROR", constraint: "aftercommit_barrier_pkey", table: "aftercommit_barrier" },
    "a taken key, pg",
  ],
  ["unique", "duplicate key value", { code: "23505", constraint_name: "aftercommit_inbox_pkey" }, "postgres.js"],
  ["unique", "Unique constraint failed", { code: "P2002", meta: { modelName: "Order" } }, "a taken key, Prisma"],
  ["retryable", "could not serialize access", { code: "40001" }, "a serialization failure"],
  ["retryable", "deadlock detected", { code: "40P01" }, "a deadlock"],
  ["retryable", "write conflict", { code: "P2034" }, "a write conflict, Prisma"],
  ["locked", "canceling statement due to lock timeout", { code: "55P03" }, "a lock timeout"],
  ["missing", 'relation "aftercommit_barrier" does not exist', { code: "42P01" }, "a missing table"],
  ["missing", 'column "claim" does not exist', { code: "42703" }, "a missing column"],
  ["denied", "permission denied for table aftercommit_barrier", { code: "42501" }, "a missing privilege"],
  ["readOnly", "cannot execute INSERT in a read-only transaction", { code: "25006" }, "a replica"],
  ["refused", "null value in column", { code: "23502" }, "a NOT NULL"],
  ["refused", "violates check constraint", { code: "23514" }, "a CHECK"],
  ["refused", "violates foreign key constraint", { code: "23503" }, "a foreign key"],
  ["refused", "current transaction is aborted", { code: "25P02" }, "an aborted transaction"],
  ["refused", "division by zero", { code: "22012" }, "a division by zero"],
  ["refused", "syntax error", { code: "42601" }, "a syntax error"],
  ["refused", "no stock", { code: "P0001" }, "a trigger's RAISE EXCEPTION"],
  ["refused", "row is too big", { code: "54000" }, "a row that is too big"],
  ["refused", "transaction_rollback", { code: "40000" }, "a rollback without a reason"],
  ["unknown", "it is not known whether the statement completed", { code: "40003" }, "completion unknown"],
  ["unknown", "connection terminated", { code: "08006" }, "a lost connection"],
  ["unknown", "terminating connection due to administrator command", { code: "57P01" }, "a shutdown"],
  ["unknown", "canceling statement due to user request", { code: "57014" }, "a cancellation"],
  ["unknown", "could not extend file: No space left", { code: "53100" }, "a full disk"],
  ["unknown", "read ECONNRESET", { code: "ECONNRESET", errno: -104 }, "a reset"],
  ["unknown", "write EPIPE", { code: "EPIPE" }, "a code of the system that has five letters"],
  ["unknown", "Can't reach database server", { code: "P1001" }, "a database out of reach, Prisma"],
  ["unknown", "Connection terminated unexpectedly", {}, "an error without a code"],
];

const MYSQL: readonly (readonly [Failure, string, object, string])[] = [
  [
    "unique",
    "Duplicate entry 'x-decision' for key 'aftercommit_barrier.PRIMARY'",
    { code: "ER_DUP_ENTRY", errno: 1062, sqlState: "23000" },
    "a taken key, mysql2",
  ],
  ["unique", "Duplicate entry", { errno: 1062 }, "a taken key, by number"],
  ["unique", "Unique constraint failed", { code: "P2002" }, "a taken key, Prisma"],
  ["retryable", "Deadlock found", { code: "ER_LOCK_DEADLOCK", errno: 1213, sqlState: "40001" }, "a deadlock"],
  ["locked", "Lock wait timeout exceeded", { code: "ER_LOCK_WAIT_TIMEOUT", errno: 1205 }, "a lock timeout"],
  ["locked", "Statement aborted because lock(s) could not be acquired", { errno: 3572 }, "NOWAIT"],
  ["missing", "Table 'shop.aftercommit_barrier' doesn't exist", { errno: 1146, code: "ER_NO_SUCH_TABLE" }, "a table"],
  ["missing", "Unknown column 'claim' in 'field list'", { errno: 1054 }, "a missing column"],
  ["denied", "INSERT command denied to user", { errno: 1142, code: "ER_TABLEACCESS_DENIED_ERROR" }, "a privilege"],
  ["readOnly", "The MySQL server is running with the --read-only option", { errno: 1290 }, "a replica"],
  ["readOnly", "Cannot execute statement in a READ ONLY transaction", { errno: 1792 }, "a read-only transaction"],
  ["refused", "Column 'text' cannot be null", { errno: 1048, sqlState: "23000" }, "a NOT NULL"],
  ["refused", "no stock", { errno: 1644, sqlState: "45000", code: "ER_SIGNAL_EXCEPTION" }, "a SIGNAL"],
  ["refused", "Check constraint is violated", { errno: 3819 }, "a CHECK"],
  ["unknown", "Server shutdown in progress", { errno: 1053 }, "a shutdown"],
  ["unknown", "Query execution was interrupted", { errno: 1317 }, "a kill"],
  [
    "unknown",
    "Lost connection to MySQL server during query",
    { errno: 2013 },
    "a lost connection, the client's number",
  ],
  ["unknown", "Connection lost: The server closed the connection.", { code: "PROTOCOL_CONNECTION_LOST" }, "mysql2"],
  ["unknown", "read ECONNRESET", { code: "ECONNRESET", errno: -104 }, "a reset"],
];

const SQLITE: readonly (readonly [Failure, string, object, string])[] = [
  [
    "unique",
    "D1_ERROR: UNIQUE constraint failed: aftercommit_inbox.consumer: SQLITE_CONSTRAINT",
    {},
    "a taken key, D1",
  ],
  [
    "unique",
    "SQLITE_CONSTRAINT: SQLite error: UNIQUE constraint failed: t.text",
    { code: "SQLITE_CONSTRAINT", extendedCode: "SQLITE_CONSTRAINT_UNIQUE", rawCode: 2067 },
    "a taken key, libSQL",
  ],
  ["unique", "Unique constraint failed", { code: "P2002" }, "a taken key, Prisma"],
  ["retryable", "SQLITE_BUSY: database is locked", { code: "SQLITE_BUSY", rawCode: 5 }, "busy, libSQL"],
  ["retryable", "database table is locked", { code: "ERR_SQLITE_ERROR", errcode: 262 }, "locked"],
  ["missing", "D1_ERROR: no such table: aftercommit_barrier: SQLITE_ERROR", {}, "a missing table, D1"],
  ["missing", "table aftercommit_barrier has no column named claim", { code: "SQLITE_ERROR" }, "a missing column"],
  ["readOnly", "SQLITE_READONLY: attempt to write a readonly database", { code: "SQLITE_READONLY" }, "read-only"],
  ["denied", "D1_ERROR: not authorized: SQLITE_AUTH", {}, "not allowed, D1"],
  ["refused", "D1_ERROR: NOT NULL constraint failed: t.text: SQLITE_CONSTRAINT", {}, "a NOT NULL, D1"],
  ["refused", "string or blob too big", { code: "SQLITE_TOOBIG" }, "too big"],
  ["unknown", "D1_ERROR: Network connection lost.", {}, "a lost connection, D1"],
  ["unknown", "SQLITE_IOERR: disk I/O error", { code: "SQLITE_IOERR", rawCode: 10 }, "a disk error"],
  ["unknown", "SQLITE_FULL: database or disk is full", { code: "SQLITE_FULL", rawCode: 13 }, "a full disk"],
  ["unknown", "fetch failed", { code: "ECONNREFUSED", errno: -111 }, "a refused connection"],
];

for (const [name, cases] of [
  ["postgresql", POSTGRESQL],
  ["mysql", MYSQL],
  ["sqlite", SQLITE],
] as const) {
  describe(`what errors of ${name} say`, () => {
    for (const [failure, message, fields, what] of cases) {
      test.each(Object.keys(wrappers))(`${what} is "${failure}", %s`, (wrapped) => {
        expect(failureOf(name, wrappers[wrapped]!(made(message, fields)))).toBe(failure);
      });
    }

    test("what is no error of a database's is unknown", () => {
      for (const thrown of [
        undefined,
        null,
        "23505",
        1062,
        {},
        [],
        new Error("no stock"),
        { code: { code: "23505" } },
      ]) {
        expect(failureOf(name, thrown)).toBe("unknown");
      }
    });

    test("an error that is its own cause ends the search", () => {
      const error = made("round", {});
      error.cause = error;
      expect(failureOf(name, error)).toBe("unknown");
    });

    test("values in a wrapper's words do not change what the error underneath says", () => {
      const values = [
        "UNIQUE constraint failed: t.x",
        "database is locked",
        "no such table",
        "SQLITE_CONSTRAINT",
        "23505",
      ];
      const lost = made("socket hang up", { code: "ECONNRESET" });
      expect(failureOf(name, new DrizzleQueryError("insert into orders values (?, ?)", values, lost))).toBe("unknown");
    });
  });
}

describe("what real SQLite drivers throw", () => {
  const directory = mkdtempSync(join(tmpdir(), "aftercommit-failure-"));
  const path = join(directory, "shop.sqlite");
  const setup = new DatabaseSync(path);
  setup.exec("CREATE TABLE t (text TEXT PRIMARY KEY CHECK (text <> 'no'), other TEXT NOT NULL)");
  setup.exec("INSERT INTO t VALUES ('a', 'a')");
  setup.close();
  afterAll(() => rmSync(directory, { recursive: true }));

  type Exec = (text: string) => void;
  const open = {
    "node:sqlite": (readOnly: boolean): readonly [Exec, () => void] => {
      const database = new DatabaseSync(path, { readOnly, timeout: 0 });
      return [(text) => database.exec(text), () => database.close()];
    },
    "better-sqlite3": (readonly: boolean): readonly [Exec, () => void] => {
      const database = new BetterSqlite(path, { readonly, timeout: 0 });
      return [(text) => database.exec(text), () => database.close()];
    },
  };
  const thrownBy = (act: () => void): unknown => {
    try {
      act();
    } catch (error) {
      return error;
    }
    throw new Error("expected an error");
  };

  describe.each(Object.keys(open) as (keyof typeof open)[])("%s", (driver) => {
    test.each([
      ["unique", "INSERT INTO t VALUES ('a', 'b')"],
      ["missing", "INSERT INTO nowhere VALUES (1)"],
      ["missing", "SELECT absent FROM t"],
      ["missing", "INSERT INTO t (absent) VALUES (1)"],
      ["refused", "INSERT INTO t VALUES ('no', 'b')"],
      ["refused", "INSERT INTO t VALUES ('b', NULL)"],
      ["refused", "INSERT OUT OF t"],
    ] as const)('"%s" is what it says of %s', (failure, text) => {
      const [exec, close] = open[driver](false);
      const error = thrownBy(() => exec(text));
      close();
      for (const wrap of Object.values(wrappers)) expect(failureOf("sqlite", wrap(error as Error))).toBe(failure);
    });

    test('"retryable" is what it says where another connection is writing', () => {
      const [[exec, close], [execOther, closeOther]] = [open[driver](false), open[driver](false)];
      execOther("BEGIN IMMEDIATE");
      const error = thrownBy(() => exec("BEGIN IMMEDIATE"));
      closeOther();
      close();
      expect(failureOf("sqlite", error)).toBe("retryable");
    });

    test('"readOnly" is what it says of a write to what was opened for reading', () => {
      const [exec, close] = open[driver](true);
      const error = thrownBy(() => exec("INSERT INTO t VALUES ('b', 'b')"));
      close();
      expect(failureOf("sqlite", error)).toBe("readOnly");
    });
  });
});
