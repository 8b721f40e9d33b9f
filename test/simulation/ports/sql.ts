import type { Database } from "aftercommit";
import type { DatabaseFault, MemorySql, MemoryStatement } from "aftercommit/memory";
import type { UnitOfWork, UnitOutcome } from "../../../src/ports/database.ts";
import { call, PortError } from "../call.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";
import type { Session, SqlServer } from "./sql-server.ts";

/** The database as a process reaches it. */
export type SimulatedDatabase = Database<MemorySql, MemoryStatement, readonly unknown[]> & {
  readonly run: NonNullable<Database<MemorySql>["run"]>;
};

/** How long a server keeps a transaction open whose connection is gone. */
const NOTICED_AFTER = [0, 1_000, 30_000, 200_000] as const;

/** A business database, over a network: each statement is a call, connections break, and answers to COMMIT are lost. */
export function sqlOf(world: World, process: Process, server: SqlServer): SimulatedDatabase {
  const { database } = server;
  const { oracle } = world;

  /** One call of the server; `fault` is what its refusal looks like. */
  const ask = <T>(name: string, fault: DatabaseFault, act: () => Promise<T>, consuming = false): Promise<T> => {
    const run = async (): Promise<T> => {
      if (server.down) throw new PortError("the database is out of reach");
      const value = await act();
      oracle.sqlActed(server, name);
      return value;
    };
    const refuse = (): Promise<T> => {
      const mend = database.fail(fault);
      return run().finally(mend);
    };
    return call(world, process, { port: "sql", name, consuming, act: run, refuse });
  };

  /** The connection is gone: the server finds that out sooner or later. */
  const hangUp = (session: Session): void => {
    const after = NOTICED_AFTER[world.faults.below(NOTICED_AFTER.length)]!;
    world.scheduler.after(after, "aborts", () => void session.abort(new PortError("the connection is gone")));
  };

  const run = async <T>(work: (unit: UnitOfWork<MemorySql>) => Promise<T>): Promise<UnitOutcome<T>> => {
    let session: Session;
    try {
      const begun = await ask("sql.begin", "begin", () => server.begin());
      if ("status" in begun) return begun;
      session = begun;
    } catch (error) {
      return { status: "rolledBack", error, retryable: false };
    }
    let broken: unknown;
    let consuming = false;
    const onDeath = (): void => hangUp(session);
    process.onDeath.add(onDeath);
    const disconnect = (error: unknown): void => {
      if (broken !== undefined) return;
      broken = error;
      process.onDeath.delete(onDeath);
      hangUp(session);
    };
    /** A statement; without an answer the connection is as good as gone. */
    const state = async <S>(name: string, act: () => Promise<S>): Promise<S> => {
      if (broken !== undefined) throw new PortError("the connection is gone");
      try {
        return await ask(name, "statement", act, consuming);
      } catch (error) {
        if (error instanceof PortError) disconnect(error);
        throw error;
      }
    };
    const { unit } = session;
    const sql = handleOf(unit.sql, state);
    let value: T;
    try {
      value = await work({
        sql,
        consume(consumed) {
          consuming = true;
          return state("sql.consume", () => unit.consume(consumed));
        },
        decide: (decision) => state("sql.decide", () => unit.decide(decision)),
        keepOutcome: (claim, outcome) => state("sql.outcome", () => unit.keepOutcome(claim, outcome)),
        savepoint: (part) => unit.savepoint(async () => part(sql)),
      });
      if (broken !== undefined) throw broken;
    } catch (error) {
      if (broken !== undefined) return { status: "rolledBack", error, retryable: false };
      return ended(
        ask("sql.rollback", "statement", () => session.abort(error)),
        (lost) => {
          disconnect(lost);
          return { status: "rolledBack", error, retryable: false };
        },
      );
    }
    return ended(
      ask("sql.commit", "commit", () => session.commit(value), consuming),
      (lost) => {
        disconnect(lost);
        return { status: "unknown", error: lost };
      },
    );

    async function ended(asked: Promise<UnitOutcome<unknown>>, lost: (error: unknown) => UnitOutcome<T>) {
      try {
        const outcome = (await asked) as UnitOutcome<T>;
        process.onDeath.delete(onDeath);
        return outcome;
      } catch (error) {
        return lost(error);
      }
    }
  };

  const batch: NonNullable<SimulatedDatabase["batch"]> = async (statements, riders) => {
    try {
      return await ask("sql.batch", "commit", () => database.batch(statements, riders), riders.consumed !== undefined);
    } catch (error) {
      return { status: "unknown", error };
    }
  };
  const operations = <Part extends object>(prefix: string, part: Part): Part => {
    const wrapped: Record<string, unknown> = {};
    for (const [method, act] of Object.entries(part as Record<string, (...args: never[]) => Promise<unknown>>))
      wrapped[method] = (...args: never[]) => ask(`${prefix}.${method}`, "unavailable", () => act(...args));
    return wrapped as Part;
  };
  return {
    barrier: operations("barrier", database.barrier),
    reader: operations("rows", database.reader),
    inbox: operations("inbox", database.inbox),
    run,
    batch,
    async write(riders) {
      const outcome = await batch([], riders);
      return outcome.status === "committed" ? { ...outcome, value: undefined } : outcome;
    },
    verify: () => ask("sql.verify", "unavailable", () => database.verify()),
  };
}

function handleOf(sql: MemorySql, state: <S>(name: string, act: () => Promise<S>) => Promise<S>): MemorySql {
  return {
    get: (key) => state("sql.get", () => sql.get(key)),
    put: (key, value) => state("sql.put", () => sql.put(key, value)),
    insert: (key, value) => state("sql.insert", () => sql.insert(key, value)),
    delete: (key) => state("sql.delete", () => sql.delete(key)),
    entries: () => state("sql.entries", () => sql.entries()),
  };
}
