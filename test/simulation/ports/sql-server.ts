import { memoryDatabase } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql } from "aftercommit/memory";
import type { UnitOfWork, UnitOutcome } from "../../../src/ports/database.ts";
import { skewedClock } from "../process.ts";
import type { Scheduler } from "../scheduler.ts";

/** An open transaction, as the server has it. */
export interface Session {
  readonly unit: UnitOfWork<MemorySql>;
  /** Commits; how it ended. */
  commit(value: unknown): Promise<UnitOutcome<unknown>>;
  /** Rolls back, at the caller's word or because its connection is gone; how it ended. */
  abort(error: unknown): Promise<UnitOutcome<unknown>>;
}

/** A SQL database of a world: the memory database, seen from the network. */
export interface SqlServer {
  readonly database: MemoryDatabase;
  /** How far its clock is ahead. */
  skewMillis: number;
  /** It answers nobody. */
  down: boolean;
  /** Begins a transaction; where it is refused, how that ended. */
  begin(): Promise<Session | UnitOutcome<never>>;
}

/** Starts it. */
export function sqlServer(scheduler: Scheduler): SqlServer {
  const server = { skewMillis: 0, down: false } as SqlServer;
  const database = memoryDatabase({ clock: skewedClock(scheduler, server) });
  return Object.assign(server, {
    database,
    begin: () =>
      new Promise<Session | UnitOutcome<never>>((resolve) => {
        const ended = database.run(
          (unit) =>
            new Promise<unknown>((commit, abort) =>
              resolve({
                unit,
                commit(value) {
                  commit(value);
                  return ended;
                },
                abort(error) {
                  abort(error);
                  return ended;
                },
              }),
            ),
        );
        void ended.then((outcome) => resolve(outcome as UnitOutcome<never>));
      }),
  });
}
