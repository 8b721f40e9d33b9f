import { RetryableError } from "../errors.ts";
import { askDatabase, askInbox } from "./ask.ts";
import { decideRollback, endBarrier, finishDecision, finishRollback } from "./barrier-end.ts";
import type { ClosedBarrier, OpenBarrier } from "./barrier-transaction.ts";
import type { Core } from "./core.ts";
import { endFailed, lostLease, markDelivered } from "./end-run.ts";
import type { Consumption, Run } from "./end-run.ts";
import { encodeOutcome } from "./outcome.ts";

/**
 * The handler of a consumer with a database succeeded. Where its work ran as one SQL transaction, the message is done by
 * that, whatever becomes of its lease; what it published without such work is committed with its inbox row now.
 */
export async function completeBarrierRun(
  core: Core,
  run: Run,
  open: OpenBarrier,
  returned: unknown,
): Promise<Consumption> {
  const closed = await open.close();
  if (closed.phase === "unknown" || closed.phase === "late") {
    const error = new Error(`the handler went on after its transaction had ended as "${closed.phase}"`);
    return endFailed(core, run, error, endBarrier(core, closed, false).afterwards);
  }
  if (closed.phase === "open") return completeOpen(core, run, closed, encodeOutcome(core, returned));
  await run.lease.stop();
  await tellInbox(core, run, closed.outcome);
  return done(core, run, closed.outcome, closed.phase === "duplicate", endBarrier(core, closed, true).afterwards);
}

/** The handler failed: what its SQL transaction committed stands, all else is undone. */
export async function failBarrierRun(core: Core, run: Run, open: OpenBarrier, error: unknown): Promise<Consumption> {
  const closed = await open.close();
  return endFailed(core, run, error, endBarrier(core, closed, false).afterwards);
}

/** No SQL of the user's committed: the inbox row and the messages are one transaction of their own, or there are no messages. */
async function completeOpen(core: Core, run: Run, closed: ClosedBarrier, outcome: string): Promise<Consumption> {
  const { inbox, claim, lease } = run;
  await lease.stop();
  if (closed.failed && closed.intent.kept) return completeFailed(core, run, closed, outcome);
  if (closed.waiting.length === 0 && !closed.intent.kept) {
    const completion = { outcome, retentionMillis: core.settings.inboxRetentionMillis };
    const result = await askInbox(core, "the inbox to complete a message", () => inbox.complete(claim, completion));
    if (result !== "completed") return lostLease(core, claim);
    return done(core, run, outcome, false, endBarrier(core, closed, true).afterwards);
  }
  const decision = closed.decide(closed.waiting);
  const consumed = { claim, retentionMillis: core.settings.inboxRetentionMillis, outcome };
  const written = await closed.use((database) =>
    askDatabase(core, "the database to complete a message", () => database.write({ consumed, decision })),
  );
  if (written.status === "committed") {
    await tellInbox(core, run, outcome);
    return done(core, run, outcome, false, () => finishDecision(core, closed, decision));
  }
  const ended: ClosedBarrier = { ...closed, phase: written.status === "rolledBack" ? "open" : written.status };
  const { afterwards } = endBarrier(core, ended, false);
  if (written.status !== "duplicate") return endFailed(core, run, written.error, afterwards);
  await tellInbox(core, run, written.outcome);
  return done(core, run, written.outcome, true, afterwards);
}

/**
 * The work was rolled back, and the handler made its peace with that: what undoes it goes out, and the message is done. In
 * this order: of a message that is done a check-back undoes nothing any more.
 */
async function completeFailed(core: Core, run: Run, closed: ClosedBarrier, outcome: string): Promise<Consumption> {
  const { error, afterwards } = endBarrier(core, closed, true);
  if (error !== undefined) return endFailed(core, run, error, afterwards);
  const row = await decideRollback(core, closed);
  if (row === undefined)
    return endFailed(core, run, new RetryableError("it is not known yet whether the work was rolled back"), undefined);
  await tellInbox(core, run, outcome);
  return done(core, run, outcome, false, () => finishRollback(core, closed, row));
}

/** The row in the database is what counts; the inbox is told so that it can answer the next duplicate sooner. */
async function tellInbox(core: Core, { inbox, claim }: Run, outcome: string): Promise<void> {
  const completion = { outcome, retentionMillis: core.settings.inboxRetentionMillis };
  try {
    await askInbox(core, "the inbox to complete a message", () => inbox.complete(claim, completion));
  } catch (error) {
    core.emit({ type: "background", error });
  }
}

function done(
  core: Core,
  { claim, attempt, record }: Run,
  outcome: string,
  duplicate: boolean,
  send: (() => Promise<void>) | undefined,
): Consumption {
  const { consumer, messageId } = claim;
  core.emit(
    duplicate ? { type: "duplicate", consumer, messageId } : { type: "consumed", consumer, messageId, attempt },
  );
  const afterwards = async () => {
    await Promise.all([markDelivered(core, record), send?.()]);
  };
  return { status: "ack", duplicate, outcome, afterwards };
}
