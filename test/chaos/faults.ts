import { writeSync } from "node:fs";
import type { Database, LogStore, Transport, UnitOfWork } from "aftercommit";
import { isHint } from "../../src/core/hint.ts";
import { placeText } from "./points.ts";
import type { Fault, Point, Role, Side } from "./points.ts";

/**
 * Kills this process at a named point, by wrapping what aftercommit is given: the log, the transport, the database.
 * Nothing in the library knows of it.
 */
export interface FaultPoints {
  /** Passes a point: the process may end here, and then the promise never resolves. */
  at(point: Point, side: Side): Promise<void>;
  /** Makes a call between the two sides of a point. */
  around<T>(point: Point, call: () => Promise<T>): Promise<T>;
}

const STDOUT = 1;

/** The points of this process, of which at most one is deadly. */
export function faultPoints(fault: Fault | undefined): FaultPoints {
  let passed = 0;
  const at = async (point: Point, side: Side): Promise<void> => {
    if (fault?.point !== point || fault.side !== side || ++passed < fault.nth) return;
    // Written at once, as nothing is after the signal.
    writeSync(STDOUT, `${JSON.stringify({ died: placeText({ point, side }) })}\n`);
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => undefined);
  };
  return {
    at,
    async around(point, call) {
      await at(point, "before");
      const value = await call();
      await at(point, "after");
      return value;
    },
  };
}

/** A log whose calls are the points of a role. */
export function logWith({ around }: FaultPoints, role: Role, log: LogStore): LogStore {
  const { transactions, inbox } = log;
  return {
    ...log,
    transactions: {
      ...transactions,
      prepare: (records) =>
        around(records.some(isHint) ? "P8_hint" : "P2_prepare", () => transactions.prepare(records)),
      decide: (...call) => around(DECIDE[role], () => transactions.decide(...call)),
      decisions: (...call) => around("S3_look", () => transactions.decisions(...call)),
      record: (changes) => around(SETTLE[role], () => transactions.record(changes)),
      claimDue: (options) => around("S1_claim", () => transactions.claimDue(options)),
    },
    inbox: {
      ...inbox,
      claim: (...call) => around("C4_claim", () => inbox.claim(...call)),
      complete: (...call) => around("C8_complete", () => inbox.complete(...call)),
    },
    cleanUp: (options) => around("S7_cleanUp", () => log.cleanUp(options)),
  };
}

/** A transport whose publish is a point of a role. */
export function transportWith({ around }: FaultPoints, role: Role, transport: Transport): Transport {
  const point = role === "sweeper" ? "S5_publish" : "P9_publish";
  return { ...transport, publish: (dispatches) => around(point, () => transport.publish(dispatches)) };
}

/** A database whose commits and rows are the points of a role. */
export function databaseWith<Sql>(
  { at, around }: FaultPoints,
  role: Role,
  database: Database<Sql, never> & { readonly run: NonNullable<Database<Sql>["run"]> },
): typeof database {
  const { barrier, inbox } = database;
  const commit = role === "consumer" ? "C7_commit" : "P6_commit";
  return {
    ...database,
    barrier: {
      ...barrier,
      intend: (intent) => around("P2_prepare", () => barrier.intend(intent)),
      find: (...call) => around("S3_look", () => barrier.find(...call)),
      rollBack: (...call) => around(DECIDE[role], () => barrier.rollBack(...call)),
      cleanUp: (options) => around("S7_cleanUp", () => barrier.cleanUp(options)),
      settle: (changes) => around(SETTLE[role], () => barrier.settle(changes)),
      claimUnsettled: (options) => around("S1_claim", () => barrier.claimUnsettled(options)),
    },
    inbox: {
      ...inbox,
      claim: (...call) => around("C4_claim", () => inbox.claim(...call)),
      complete: (...call) => around("C8_complete", () => inbox.complete(...call)),
    },
    async run<T>(work: (unit: UnitOfWork<Sql>) => Promise<T>, options?: Parameters<typeof database.run>[1]) {
      const outcome = await database.run(async (unit) => {
        const value = await work(unit);
        await at(commit, "before");
        return value;
      }, options);
      if (outcome.status === "committed") await at(commit, "after");
      return outcome;
    },
  };
}

/** What records results, by who does it. */
const SETTLE = { producer: "P10_settle", consumer: "C8_complete", sweeper: "S6_settle" } as const;

/** What decides outside of the user's own transaction, by who does it. */
const DECIDE = { producer: "P8_hint", consumer: "C8_complete", sweeper: "S4_decide" } as const;
