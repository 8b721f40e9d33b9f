import { askDatabase, askLog } from "../core/ask.ts";
import { logOf } from "../core/core.ts";
import type { Core } from "../core/core.ts";
import { withDatabase } from "../core/databases.ts";
import { askCheck } from "../core/decide.ts";
import { finishRows } from "../core/outbox.ts";
import { UnavailableError } from "../errors.ts";
import type { DecisionRow } from "../model/barrier-row.ts";
import type { Verdict } from "../model/states.ts";
import type { AnyDatabase } from "../ports/database.ts";

/** What became of a run's transaction, and what is left to be done for it after the response. */
export interface Fate {
  readonly verdict: Verdict | undefined;
  readonly afterwards?: () => Promise<unknown>;
}

/**
 * What became of a transaction that a database decides: where it has no decision, `rolledBack` is written under its id, so
 * that a run that still stands somewhere cannot commit it any more. A commit under way is waited for, a little.
 *
 * @throws {UnavailableError} where the database is out of reach.
 */
export function fateInDatabase(core: Core, name: string, transactionId: string): Promise<Fate> {
  return withDatabase(core, name, async (database) => {
    const found = await askDatabase(core, "the database to tell of a transaction", () =>
      database.barrier.find([transactionId]),
    );
    const entry = found.get(transactionId);
    if (entry?.state === "decided") return { verdict: entry.row.verdict };
    if (entry?.state === "undecodable") return { verdict: undefined };
    const row = await rollBack(core, database, transactionId, { intended: entry !== undefined });
    if (row?.verdict !== "rolledBack") return { verdict: row?.verdict };
    core.emit({ type: "decided", transactionId, verdict: "rolledBack", by: "request" });
    return { verdict: "rolledBack", afterwards: () => finish(core, name, row) };
  });
}

/** The decision in force; `undefined` where that is not known yet, as a commit takes its time. */
async function rollBack(
  core: Core,
  { barrier }: AnyDatabase,
  transactionId: string,
  { intended }: { readonly intended: boolean },
): Promise<DecisionRow | undefined> {
  const { source, resumeAfterMillis: dueMillis } = core.settings;
  const at = core.clock.now();
  // A rollback needs an intent. One of this number changes none that is there, and gives way to the run's own.
  const intent = { transactionId, source, records: [], at, dueMillis, sequence: 0 };
  try {
    if (!intended) await askDatabase(core, "the database to keep an intent", () => barrier.intend(intent));
    return await askDatabase(core, "the database to decide", () => barrier.rollBack(transactionId, at, dueMillis));
  } catch (error) {
    if (!UnavailableError.is(error)) throw error;
    core.emit({ type: "checkFailed", transactionId, attempt: 1, error });
    return undefined;
  }
}

/** Sends what the revoked run has registered for that case, and settles its row. */
async function finish(core: Core, name: string, row: DecisionRow): Promise<void> {
  await withDatabase(core, name, (database) => finishRows(core, database, [row]));
}

/**
 * What became of a transaction that the log decides. Where it has no decision, the check is asked; without a check it is
 * rolled back, so that its messages are not sent.
 *
 * @throws {UnavailableError} where the log is out of reach.
 */
export async function fateInLog(core: Core, check: string | undefined, transactionId: string): Promise<Fate> {
  const { transactions, deadLetters } = logOf(core);
  const found = await askLog(core, "the log to tell a decision", () => transactions.decisions([transactionId]));
  const standing = found.get(transactionId)?.verdict;
  if (standing !== undefined) return { verdict: standing };
  const answer = check === undefined ? "rolledBack" : await askCheck(core, check, transactionId, 1);
  if (answer === "unknown") return { verdict: undefined };
  const { verdict } = await askLog(core, "the log to decide", () =>
    transactions.decide(transactionId, answer, core.clock.now()),
  );
  if (verdict === answer)
    core.emit({ type: "decided", transactionId, verdict, by: check === undefined ? "request" : "check" });
  // What was held for a person, as nothing had decided it, goes its way with the next sweep.
  const afterwards = () => askLog(core, "the log to release what it held", () => deadLetters.release(transactionId));
  return { verdict, afterwards };
}
