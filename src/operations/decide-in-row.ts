import { askDatabase } from "../core/ask.ts";
import type { Core } from "../core/core.ts";
import { withDatabase } from "../core/databases.ts";
import { finishRows } from "../core/outbox.ts";
import { OperationError } from "../errors.ts";
import type { Decision, Verdict } from "../model/states.ts";
import type { AnyDatabase } from "../ports/database.ts";

/** A person's decision about a transaction that a database decides; `undefined` where no database knows of it. */
export async function decideInRow(core: Core, transactionId: string, verdict: Verdict): Promise<Decision | undefined> {
  for (const name of core.databases.keys()) {
    const decision = await withDatabase(core, name, (database) => decide(core, database, transactionId, verdict));
    if (decision !== undefined) return decision;
  }
  return undefined;
}

/** The error of a decision that stands, and is another one. */
export function decidedOtherwise(transactionId: string, found: Verdict): OperationError {
  return new OperationError("ERR_CONFLICT", `Expected an undecided transaction, found "${transactionId}" ${found}.`, {
    hint: "A decision is never changed; look at what it sent.",
    transactionId,
  });
}

async function decide(
  core: Core,
  database: AnyDatabase,
  transactionId: string,
  verdict: Verdict,
): Promise<Decision | undefined> {
  const found = await askDatabase(core, "the database to tell of a transaction", () =>
    database.barrier.find([transactionId]),
  );
  const entry = found.get(transactionId);
  if (entry === undefined) return undefined;
  if (entry.state === "decided") return asWanted(entry.row, verdict);
  if (verdict === "committed") {
    throw new OperationError(
      "ERR_CONFLICT",
      `Expected a transaction that the log decides, found "${transactionId}" to be decided by its database.`,
      { hint: "Only its own SQL transaction can commit it; it can be rolled back.", transactionId },
    );
  }
  const row = await askDatabase(core, "the database to decide", () =>
    database.barrier.rollBack(transactionId, core.clock.now(), core.settings.resumeAfterMillis),
  );
  if (row === undefined) return undefined;
  const decision = asWanted(row, verdict);
  core.emit({ type: "decided", transactionId, verdict, by: "person" });
  await finishRows(core, database, [row]);
  return decision;
}

function asWanted(row: Decision & { readonly transactionId: string }, verdict: Verdict): Decision {
  if (row.verdict !== verdict) throw decidedOtherwise(row.transactionId, row.verdict);
  return { verdict: row.verdict, decidedAt: row.decidedAt };
}
