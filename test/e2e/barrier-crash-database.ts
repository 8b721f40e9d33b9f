import type { Database, UnitOfWork, UnitOutcome } from "aftercommit";
import { await_, faultAt, NEVER, through } from "./crash-world.ts";
import type { Process } from "./crash-world.ts";

type Any = Database<unknown, never>;

/**
 * A database whose every call is a fault point of the process: the begin of a transaction, each row of ours, the COMMIT,
 * a batch, and all that is done outside of transactions. When the process dies, its open transactions break off.
 */
export function databaseOf(process: Process, inner: Any): Any {
  const { run, batch } = inner;
  return {
    barrier: through(process, "barrier", inner.barrier),
    reader: through(process, "rows", inner.reader),
    inbox: through(process, "inbox", inner.inbox),
    ...(run === undefined ? {} : { run: (work, options) => transaction(process, work, (all) => run(all, options)) }),
    ...(batch === undefined ? {} : { batch: (...call) => oneCall(process, "database.batch", () => batch(...call)) }),
    write: (riders) => oneCall(process, "database.write", () => inner.write(riders)),
    verify: () => inner.verify(),
  };
}

/** A call that gets no answer may have done everything or nothing. */
async function oneCall<T>(
  process: Process,
  name: string,
  call: () => Promise<UnitOutcome<T>>,
): Promise<UnitOutcome<T>> {
  try {
    return await await_(process, name, call);
  } catch (error) {
    return { status: "unknown", error };
  }
}

async function transaction<T>(
  process: Process,
  work: (unit: UnitOfWork<unknown>) => Promise<T>,
  run: (work: (unit: UnitOfWork<unknown>) => Promise<T>) => Promise<UnitOutcome<T>>,
): Promise<UnitOutcome<T>> {
  try {
    await await_(process, "database.begin", () => undefined);
  } catch (error) {
    return { status: "rolledBack", error, retryable: false };
  }
  const lost = new Error("no answer to the COMMIT");
  let fault: ReturnType<typeof faultAt>;
  const committed = async (unit: UnitOfWork<unknown>): Promise<T> => {
    const value = await work(unitOf(process, unit));
    fault = faultAt(process, "database.commit");
    if (fault === "diesBefore") process.die();
    if (fault === "failsBeforeItActs") throw lost;
    return process.dead ? NEVER : value;
  };
  const broken = process.died.then((): never => {
    throw new Error("the connection broke");
  });
  broken.catch(() => undefined);
  const outcome = await run((unit) => Promise.race([committed(unit), broken]));
  if (fault === "diesAfter") process.die();
  if (process.dead) return NEVER;
  return fault === "failsBeforeItActs" || fault === "actsAndReplyIsLost" ? { status: "unknown", error: lost } : outcome;
}

/** The user's own statements are fault points where the user makes them. */
function unitOf(process: Process, unit: UnitOfWork<unknown>): UnitOfWork<unknown> {
  return {
    sql: unit.sql,
    consume: (consumed) => await_(process, "database.consume", () => unit.consume(consumed)),
    decide: (decision) => await_(process, "database.decide", () => unit.decide(decision)),
    keepOutcome: (claim, outcome) => await_(process, "database.keepOutcome", () => unit.keepOutcome(claim, outcome)),
    savepoint: (part) => unit.savepoint(part),
  };
}
