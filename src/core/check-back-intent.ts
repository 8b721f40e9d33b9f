import type { DecisionRow } from "../model/barrier-row.ts";
import type { AnyDatabase } from "../ports/database.ts";
import { askDatabase } from "./ask.ts";
import type { Core } from "./core.ts";

/**
 * Decides a transaction whose request has gone and left messages for a rollback: rolls it back, unless its own commit was
 * first. What a consumer's run left is not rolled back where another run has done the message: that would undo what is done.
 *
 * Resolves to the decision in force. A lock that is not to be had in time is no verdict: `undefined`, asked again later.
 */
export async function checkBackIntent(
  core: Core,
  database: AnyDatabase,
  transactionId: string,
): Promise<DecisionRow | undefined> {
  try {
    if (await isDoneByAnother(core, database, transactionId)) return await commitEmpty(core, database, transactionId);
    const row = await askDatabase(core, "the database to decide", () =>
      database.barrier.rollBack(transactionId, core.clock.now(), core.settings.resumeAfterMillis),
    );
    if (row?.verdict === "rolledBack" && row.version === 0 && row.attempts === 0)
      core.emit({ type: "decided", transactionId, verdict: "rolledBack", by: "sweep" });
    return row;
  } catch (error) {
    core.emit({ type: "checkFailed", transactionId, attempt: 1, error });
    return undefined;
  }
}

/** Whether the transaction is that of a consumer's run whose message was done by another run. */
async function isDoneByAnother(core: Core, database: AnyDatabase, transactionId: string): Promise<boolean> {
  const found = await askDatabase(core, "the database to tell of a transaction", () =>
    database.barrier.find([transactionId]),
  );
  const entry = found.get(transactionId);
  const parent = entry?.state === "intended" ? entry.records[0]?.parent : undefined;
  if (parent === undefined) return false;
  const message = await askDatabase(core, "the database to tell of a message", () => database.inbox.look(parent));
  return message.state === "done";
}

/** Commits a transaction that sends nothing, so that its messages for a rollback are dropped. Resolves to the decision in force. */
export async function commitEmpty(
  core: Core,
  database: AnyDatabase,
  transactionId: string,
): Promise<DecisionRow | undefined> {
  const { source, resumeAfterMillis } = core.settings;
  const decision = { transactionId, source, records: [], at: core.clock.now(), dueMillis: resumeAfterMillis };
  // Where there is a decision by now, that one counts.
  await askDatabase(core, "the database to decide", () => database.write({ decision }));
  const found = await askDatabase(core, "the database to tell of a transaction", () =>
    database.barrier.find([transactionId]),
  );
  const entry = found.get(transactionId);
  return entry?.state === "decided" ? entry.row : undefined;
}
