import { AftercommitError, DatabaseNotReadyError } from "../../src/errors.ts";
import type { InboxClaim } from "../../src/ports/inbox.ts";
import type { Database, Riders, UnitOfWork, UnitOptions, UnitOutcome } from "../../src/ports/database.ts";
import { foundOf, insertDecision, columns } from "./barrier-rows.ts";
import { sqlBarrierReader } from "./barrier-reader.ts";
import { sqlBarrier } from "./barrier.ts";
import type { Transact } from "./barrier.ts";
import type { SqlDriver } from "./driver.ts";
import { RolledBackByDatabase, symptomsOf } from "./failure.ts";
import type { Failure } from "./failure.ts";
import { insertConsumed, outcomeOf, selectOutcome, sqlInbox, updateOutcome } from "./inbox.ts";
import { patiently } from "./patience.ts";
import { grantsOf, schemaOf } from "./schema.ts";
import { sql } from "./statement.ts";
import type { Execute, SqlStatement } from "./statement.ts";
import { verification } from "./verification.ts";

/** A business database, and the way to make our tables in it. */
export interface SqlDatabase<Sql = unknown, Statement = unknown, Results = unknown> extends Database<
  Sql,
  Statement,
  Results
> {
  /** Makes the tables that are not there yet. For development and tests; a migration of your own holds the same SQL. */
  createTables(): Promise<void>;
}

/** A database with transactions that stay open while code runs. */
export type InteractiveDatabase<Sql> = SqlDatabase<Sql, never, never> & {
  readonly run: NonNullable<Database<Sql>["run"]>;
  readonly batch?: never;
};

/** A database that takes the statements of a transaction all at once. */
export type BatchDatabase<Statement, Results> = SqlDatabase<never, Statement, Results> & {
  readonly run?: never;
  readonly batch: NonNullable<Database<never, Statement, Results>["batch"]>;
};

/** Makes a database of a driver. */
export function sqlDatabase<Sql, Statement, Results>(
  driver: SqlDriver<Sql, Statement, Results>,
): SqlDatabase<Sql, Statement, Results> {
  const { dialect } = driver;
  const failureOf = (error: unknown): Failure => {
    const failure = dialect.failureOf(symptomsOf(error));
    return failure === "unknown" && error instanceof RolledBackByDatabase ? "refused" : failure;
  };

  /** Our own troubles with a database are told as such; all others come through as they are. */
  const explained = (error: unknown): unknown => {
    if (AftercommitError.is(error)) return error;
    const failure = failureOf(error);
    if (failure === "missing") {
      return new DatabaseNotReadyError("Expected the tables aftercommit_barrier and aftercommit_inbox, found others.", {
        hint: "Run this once, as a migration:",
        sql: schemaOf(dialect.name),
        cause: error,
      });
    }
    if (failure === "denied") {
      const sql = grantsOf(dialect.name);
      return new DatabaseNotReadyError("Expected to be allowed to use the tables of aftercommit, found it denied.", {
        hint: sql === undefined ? "Open the database with the right to write." : "Run this as the tables' owner:",
        ...(sql === undefined ? {} : { sql }),
        cause: error,
      });
    }
    if (failure !== "readOnly") return error;
    return new DatabaseNotReadyError("Expected the database that takes writes, found one that is read-only.", {
      hint: "Connect to the primary: a replica does not know what was decided.",
      cause: error,
    });
  };
  const transact: Transact = async (statements) => {
    try {
      return await patiently(dialect, () => driver.transact(statements));
    } catch (error) {
      throw explained(error);
    }
  };

  /** Another decision stands: a check-back's, or our own, where a client has sent the same transaction twice. */
  const lateOutcome = async (transactionId: string, error: unknown): Promise<UnitOutcome<never>> => {
    const query = sql(
      `SELECT ${columns(dialect)} FROM aftercommit_barrier WHERE transaction_id = ? AND kind = 'decision'`,
      transactionId,
    );
    const [found] = await transact([query]).catch(() => []);
    const decision = found === undefined ? undefined : foundOf(found.rows);
    const rolledBack = decision?.state === "decided" && decision.row.verdict === "rolledBack";
    return rolledBack ? { status: "late", error } : { status: "unknown", error };
  };
  const duplicateOutcome = async (claim: InboxClaim, error: unknown): Promise<UnitOutcome<never>> => {
    try {
      const [found] = await transact([selectOutcome(claim)]);
      const row = found!.rows[0];
      // Forgotten meanwhile; or the user's own statement met a key of theirs, with a value that reads like our table.
      if (row === undefined) return { status: "rolledBack", error, retryable: true };
      return { status: "duplicate", outcome: outcomeOf(row.outcome) };
    } catch {
      return { status: "rolledBack", error, retryable: false };
    }
  };

  /**
   * The outcome of a transaction that met an error; `sent` tells whether its COMMIT may have been on its way. What the
   * user's own statements met comes through as it is: a missing table of theirs is not our trouble. A database that takes
   * no writes is, and does not name the table.
   */
  const outcomeOfError = (error: unknown, sent: boolean): UnitOutcome<never> => {
    const failure = failureOf(error);
    if (sent && failure === "unknown") return { status: "unknown", error };
    const ours = failure === "readOnly" || symptomsOf(error).text.includes("aftercommit_");
    return {
      status: "rolledBack",
      error: ours ? explained(error) : error,
      retryable: failure === "retryable" || failure === "locked",
    };
  };

  const run = async <T>(
    work: (unit: UnitOfWork<Sql>) => Promise<T>,
    options: UnitOptions = {},
  ): Promise<UnitOutcome<T>> => {
    /** Set where one of our INSERTs found its key taken. */
    let taken: { readonly decision: string } | { readonly message: InboxClaim } | undefined;
    /** Set where one of our statements failed, or the transaction was found to be over. */
    let broken: { readonly error: unknown } | undefined;
    let worked = false;
    try {
      const value = await driver.transaction!(async (handle, execute) => {
        /** A handler that swallows the error of a statement of ours does not commit by that. */
        const orBreak = async (act: () => Promise<unknown>): Promise<void> => {
          try {
            await act();
          } catch (error) {
            broken ??= { error };
            throw error;
          }
        };
        const insert = async (statement: SqlStatement, key: NonNullable<typeof taken>): Promise<void> => {
          try {
            await execute(statement);
          } catch (error) {
            if (failureOf(error) === "unique") taken = key;
            throw error;
          }
        };
        const assertOpen = async (deciding: boolean): Promise<void> => {
          const open = driver.isOpen === undefined ? dialect.isOpen(execute, deciding) : driver.isOpen(handle);
          if (!(await open)) throw new RolledBackByDatabase("an error had ended the transaction");
        };
        let decided = false;
        let wrote = false;
        const done = await work({
          sql: handle,
          consume(consumed) {
            wrote = true;
            return orBreak(() => insert(insertConsumed(dialect, consumed), { message: consumed.claim }));
          },
          async decide(decision) {
            await orBreak(async () => {
              await assertOpen(true);
              await insert(insertDecision(dialect, decision), { decision: decision.transactionId });
            });
            decided = true;
          },
          keepOutcome: (claim, outcome) => orBreak(() => execute(updateOutcome(claim, outcome))),
          savepoint: (part) =>
            driver.savepoint === undefined ? savepoint(execute, () => part(handle)) : driver.savepoint(handle, part),
        });
        if (broken !== undefined) throw broken.error;
        // A transaction without rows of ours is the user's alone, and costs no statement more.
        if (!decided && (wrote || driver.isOpen !== undefined)) await assertOpen(false);
        worked = true;
        return done;
      }, options);
      return { status: "committed", value };
    } catch (error) {
      if (taken === undefined) return outcomeOfError(error, worked);
      return "decision" in taken ? lateOutcome(taken.decision, error) : duplicateOutcome(taken.message, error);
    }
  };

  const batched = async (statements: readonly Statement[], riders: Riders): Promise<UnitOutcome<Results>> => {
    const { consumed, decision } = riders;
    const before = consumed === undefined ? [] : [insertConsumed(dialect, consumed)];
    const after = decision === undefined ? [] : [insertDecision(dialect, decision)];
    try {
      return { status: "committed", value: await driver.batch!(before, statements, after) };
    } catch (error) {
      return takenOutcome(error, riders);
    }
  };

  /** Which key a batch found taken stands in the database's own words only. */
  const takenOutcome = async (error: unknown, { consumed, decision }: Riders): Promise<UnitOutcome<never>> => {
    const { text } = symptomsOf(error);
    if (failureOf(error) === "unique") {
      if (consumed !== undefined && text.includes("aftercommit_inbox")) return duplicateOutcome(consumed.claim, error);
      if (decision !== undefined && text.includes("aftercommit_barrier"))
        return lateOutcome(decision.transactionId, error);
    }
    return outcomeOfError(error, true);
  };

  return {
    barrier: sqlBarrier(dialect, transact),
    reader: sqlBarrierReader(dialect, transact),
    inbox: sqlInbox(dialect, transact),
    ...(driver.maxRowBytes === undefined ? {} : { maxRowBytes: driver.maxRowBytes }),
    ...(driver.transaction === undefined ? {} : { run }),
    ...(driver.batch === undefined ? {} : { batch: batched }),
    async write(riders) {
      const { consumed, decision } = riders;
      // MariaDB does not tell whose key was taken: here it is known.
      if (driver.transaction !== undefined) {
        return run(async (unit): Promise<undefined> => {
          if (consumed !== undefined) await unit.consume(consumed);
          if (decision !== undefined) await unit.decide(decision);
        });
      }
      const statements = [
        ...(consumed === undefined ? [] : [insertConsumed(dialect, consumed)]),
        ...(decision === undefined ? [] : [insertDecision(dialect, decision)]),
      ];
      try {
        await driver.transact(statements);
        return { status: "committed", value: undefined };
      } catch (error) {
        return takenOutcome(error, riders);
      }
    },
    // In one transaction: a pooler that has none to offer shows here, and not with the first message.
    async verify() {
      const [found] = await transact(verification(dialect));
      const replica = found!.rows[0]?.replica;
      if (replica !== true && Number(replica) !== 1) return;
      throw new DatabaseNotReadyError("Expected the database that takes writes, found a replica.", {
        hint: "Connect to the primary: a replica does not know what was decided.",
      });
    },
    async createTables() {
      for (const table of dialect.tables) {
        const create = () => driver.transact([{ text: table, values: [] }]);
        // Of two processes that make a table at once PostgreSQL refuses one, even so; a moment later the table is there.
        await create().catch(create);
      }
    },
    ...(driver.close === undefined ? {} : { close: driver.close }),
  };
}

let savepoints = 0;

/** A part of a transaction that can be rolled back alone, in the words of the SQL standard. */
async function savepoint<T>(execute: Execute, part: () => Promise<T>): Promise<T> {
  const name = `aftercommit_${++savepoints}`;
  await execute(sql(`SAVEPOINT ${name}`));
  try {
    const value = await part();
    await execute(sql(`RELEASE SAVEPOINT ${name}`));
    return value;
  } catch (error) {
    await execute(sql(`ROLLBACK TO SAVEPOINT ${name}`));
    throw error;
  }
}
