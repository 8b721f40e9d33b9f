import type { DecisionRow } from "../model/barrier-row.ts";
import type { AnyDatabase, NewDecision } from "../ports/database.ts";
import { askDatabase } from "./ask.ts";
import type { ClosedBarrier } from "./barrier-transaction.ts";
import type { Core } from "./core.ts";
import { NOTHING_LEFT } from "./decide.ts";
import type { Ending } from "./decide.ts";
import { commitEmpty } from "./check-back-intent.ts";
import { finishRows } from "./outbox.ts";
import { notCommittedError } from "./transaction-errors.ts";

/**
 * Ends a transaction at level `barrier` whose request has ended. Its database has decided it by now, or never will: what
 * committed no row is rolled back, whatever the handler answered. No I/O before the response; never rejects.
 */
export function endBarrier(core: Core, closed: ClosedBarrier, success: boolean): Ending {
  const { id, phase, decision, waiting, dropped, used, intent, hint } = closed;
  // On Workers what nobody waits for is cut off with the response.
  const given = hint && (async () => void (await hint.given));
  if (phase === "committed") {
    const outcome = "committed";
    if (decision === undefined) return { ...NOTHING_LEFT, outcome, afterwards: hint && (() => hint.drop()) };
    core.emit({ type: "decided", transactionId: id, verdict: "committed", by: "request" });
    return { ...NOTHING_LEFT, outcome, afterwards: () => finishDecision(core, closed, decision) };
  }
  if (phase === "unknown") return { ...NOTHING_LEFT, undecided: true, afterwards: () => lookAgain(core, closed) };
  if (phase === "late") return { ...NOTHING_LEFT, outcome: "rolledBack", afterwards: given };
  if (dropped && !intent.kept) core.emit({ type: "decided", transactionId: id, verdict: "rolledBack", by: "request" });
  // What a run of the same message has done before is not undone by this one.
  const end = phase === "duplicate" ? commitNothing : rollBack;
  const afterwards = intent.kept ? () => end(core, closed) : hint && (() => hint.drop());
  const forgotten = phase === "open" && success && waiting.length > 0;
  const outcome = used || dropped || intent.kept ? "rolledBack" : "unused";
  return {
    ...NOTHING_LEFT,
    outcome,
    ...(forgotten ? { error: notCommittedError(id, waiting.length) } : {}),
    afterwards,
  };
}

/** A decision as its row has it, before anybody has changed it. */
export function freshRow({ transactionId, source, records, at }: NewDecision): DecisionRow {
  return {
    transactionId,
    verdict: "committed",
    decidedAt: at,
    source,
    records,
    results: {},
    attempts: 0,
    version: 0,
    settled: false,
  };
}

/** Sends what a decision that was just committed sends. */
export function finishDecision(core: Core, closed: ClosedBarrier, decision: NewDecision): Promise<void> {
  return finish(core, closed, async () => freshRow(decision));
}

/** The answer to COMMIT was lost: if it did commit, that can be seen as soon as the database answers again. */
function lookAgain(core: Core, closed: ClosedBarrier): Promise<void> {
  return finish(core, closed, async () => {
    const found = await closed.use((database) =>
      askDatabase(core, "the database to tell of a transaction", () => database.barrier.find([closed.id])),
    );
    const entry = found.get(closed.id);
    return entry?.state === "decided" ? entry.row : undefined;
  });
}

/** Nothing was committed, and there are messages for that: the request decides as a check-back would. */
function rollBack(core: Core, closed: ClosedBarrier): Promise<void> {
  return finish(core, closed, () => decideRollback(core, closed));
}

/**
 * Rolls a transaction back that has messages for that. Resolves to the decision in force; a lock that is not to be had in
 * time is no verdict: `undefined`.
 *
 * @throws {UnavailableError} where the database did not answer.
 */
export async function decideRollback(core: Core, closed: ClosedBarrier): Promise<DecisionRow | undefined> {
  const row = await closed.use(async (database) => {
    await closed.intent.correct(database);
    if (await isDoneByAnother(core, closed, database)) return commitEmpty(core, database, closed.id);
    return askDatabase(core, "the database to decide", () =>
      database.barrier.rollBack(closed.id, core.clock.now(), core.settings.resumeAfterMillis),
    );
  });
  if (row?.verdict === "rolledBack")
    core.emit({ type: "decided", transactionId: closed.id, verdict: "rolledBack", by: "request" });
  return row;
}

/** Sends what a rollback that was just decided sends. */
export function finishRollback(core: Core, closed: ClosedBarrier, row: DecisionRow): Promise<void> {
  return finish(core, closed, async () => row);
}

/** Whether another run has done the message since, as this one lost its lease: to roll back now would undo what is done. */
async function isDoneByAnother(core: Core, { consumed }: ClosedBarrier, database: AnyDatabase): Promise<boolean> {
  if (consumed === undefined) return false;
  const message = await askDatabase(core, "the database to tell of a message", () =>
    database.inbox.look(consumed.claim),
  );
  return message.state === "done";
}

/** Decides against messages for a rollback where nothing else is to be decided. */
function commitNothing(core: Core, closed: ClosedBarrier): Promise<void> {
  return finish(core, closed, () => closed.use((database) => commitEmpty(core, database, closed.id)));
}

/** Sends what a decision sends, and takes the hint back once nothing is left of it. What fails is found by a sweep. */
async function finish(
  core: Core,
  closed: ClosedBarrier,
  decided: () => Promise<DecisionRow | undefined>,
): Promise<void> {
  try {
    const row = await decided();
    const finished = row && (await closed.use((database) => finishRows(core, database, [row])));
    if (finished?.settled.has(closed.id) === true) await closed.hint?.drop();
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
  await closed.hint?.given;
}
