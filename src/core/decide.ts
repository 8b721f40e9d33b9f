import type { DeliveryRecord } from "../model/delivery.ts";
import type { CheckAnswer, Decision, Verdict } from "../model/states.ts";
import { askInTime, askLog } from "./ask.ts";
import { bury } from "./dead-letters.ts";
import { carryOut, decidedAs } from "./dispatch.ts";
import { logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { sendUnprotected } from "./unprotected.ts";
import type { ClosedTransaction } from "./transaction.ts";

/** What ending a transaction left. */
export interface Ending {
  /** The decision could not be written, or is not known: the answer says so, recovery decides. */
  readonly undecided: boolean;
  /** How many deliveries only this process knows of. */
  readonly unprotected: number;
  /** How it was decided; `"unused"` where there was nothing to decide. Absent as long as that is not known. */
  readonly outcome?: Verdict | "unused";
  /** What is to be answered instead of a success that it is not. */
  readonly error?: Error;
  /** What remains to be done once the response is on its way; never rejects. */
  readonly afterwards: (() => Promise<void>) | undefined;
}

/** Nothing was published, so that nothing is left. */
export const NOTHING_LEFT: Ending = { undecided: false, unprotected: 0, afterwards: undefined };
const UNUSED: Ending = { ...NOTHING_LEFT, outcome: "unused" };

/**
 * Ends the transaction of a request whose handler has ended: decides it, before the response. Where a check decides
 * failures, that comes afterwards. No I/O where nothing was published; never rejects.
 */
export async function endTransaction(core: Core, closed: ClosedTransaction, success: boolean): Promise<Ending> {
  const { records, uncertain, unprotected } = closed;
  if (records.length + uncertain.length + unprotected.length === 0) return UNUSED;
  if (!success && closed.check !== undefined) {
    const name = closed.check;
    return { ...NOTHING_LEFT, afterwards: () => decideByCheck(core, closed, name) };
  }
  const verdict: Verdict = success ? "committed" : "rolledBack";
  const own: Decision = { verdict, decidedAt: core.clock.now() };
  // What the log does not have for certain needs no decision of the log's before the response.
  if (records.length + uncertain.length === 0) return unprotectedEnding(core, closed, own, unprotected);
  try {
    await dropUncertain(core, closed);
    const decision = await decideNow(core, closed.id, verdict, "request");
    const count = decision.verdict === "committed" ? unprotected.length : 0;
    const afterwards = () => finish(core, closed, success, decision);
    return { ...NOTHING_LEFT, outcome: decision.verdict, unprotected: count, afterwards };
  } catch (error) {
    if (closed.proceed && success) return unprotectedEnding(core, closed, own, [...records, ...unprotected]);
    core.emit({ type: "undecided", transactionId: closed.id, error });
    return { ...NOTHING_LEFT, undecided: true, afterwards: () => decideAgain(core, closed, success) };
  }
}

/**
 * The decision could not be written, or its answer was lost. Once more, after the response: whoever decided otherwise
 * meanwhile knows nothing of a success that came late, so that it is flagged, and its payload kept, here or nowhere.
 */
async function decideAgain(core: Core, closed: ClosedTransaction, success: boolean): Promise<void> {
  try {
    await dropUncertain(core, closed);
    const decision = await decideNow(core, closed.id, success ? "committed" : "rolledBack", "request");
    await finish(core, closed, success, decision);
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

/** The log is out of reach, and the route goes on without it: what is sent is sent from memory. */
function unprotectedEnding(
  core: Core,
  closed: ClosedTransaction,
  decision: Decision,
  records: readonly DeliveryRecord[],
): Ending {
  const sent = decision.verdict === "committed" ? records.filter(({ on }) => on === "commit") : [];
  if (sent.length > 0) core.emit({ type: "unprotected", transactionId: closed.id, deliveries: sent.length });
  return {
    ...NOTHING_LEFT,
    outcome: decision.verdict,
    unprotected: sent.length,
    afterwards: () => sendUnprotected(core, closed.id, sent, decision),
  };
}

/** Takes out of the log what was refused to the handler, and puts in what is missing, before there is a decision that could send it. */
export async function dropUncertain(
  core: Core,
  { uncertain, owed }: Pick<ClosedTransaction, "uncertain" | "owed">,
): Promise<void> {
  if (uncertain.length > 0) {
    const changes = uncertain.map((record) => ({ record, settled: true as const }));
    await askLog(core, "the log to drop what it did not confirm", () => logOf(core).transactions.record(changes));
  }
  if (owed.length > 0)
    await askLog(core, "the log to keep half messages", () => logOf(core).transactions.prepare(owed));
}

async function decideNow(
  core: Core,
  transactionId: string,
  verdict: Verdict,
  by: "request" | "check",
): Promise<Decision> {
  const decision = await askLog(core, "the log to decide", () =>
    logOf(core).transactions.decide(transactionId, verdict, core.clock.now()),
  );
  if (decision.verdict === verdict) core.emit({ type: "decided", transactionId, verdict, by });
  return decision;
}

/** Carries a decision out after the response; a success that had been rolled back is kept for a person. */
async function finish(core: Core, closed: ClosedTransaction, success: boolean, decision: Decision): Promise<void> {
  if (success !== (decision.verdict === "committed")) {
    const deliveries = closed.records.length + closed.unprotected.length;
    core.emit({ type: "conflict", transactionId: closed.id, deliveries });
    if (success) await keepConflict(core, closed, decision);
  }
  if (closed.overdue) await releaseHeld(core, closed.id);
  await carryOut(core, decidedAs(decision, closed.records));
  if (decision.verdict !== "committed" || closed.unprotected.length === 0) return;
  core.emit({ type: "unprotected", transactionId: closed.id, deliveries: closed.unprotected.length });
  await sendUnprotected(core, closed.id, closed.unprotected, decision);
}

async function keepConflict(core: Core, closed: ClosedTransaction, decision: Decision): Promise<void> {
  for (const record of [...closed.records, ...closed.unprotected].filter(({ on }) => on === "commit")) {
    try {
      await bury(core, {
        record,
        decidedAt: decision.decidedAt,
        reason: "conflict",
        detail: "the handler succeeded after the transaction had been rolled back",
        buriedAt: core.clock.now(),
      });
    } catch (error) {
      core.emit({ type: "recordFailed", error });
    }
  }
}

async function releaseHeld(core: Core, transactionId: string): Promise<void> {
  try {
    await askLog(core, "the log to release what it held", () => logOf(core).deadLetters.release(transactionId));
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

/**
 * After a failure, with the handler known to have ended, one answer of the check counts; no answer leaves it to the sweep,
 * which does not know of what only memory holds.
 */
async function decideByCheck(core: Core, closed: ClosedTransaction, name: string): Promise<void> {
  const { id, unprotected } = closed;
  const [dropped] = await Promise.allSettled([dropUncertain(core, closed)]);
  const answer = await askCheck(core, name, id, 1);
  if (answer === "unknown") {
    if (unprotected.length > 0) core.emit({ type: "lost", transactionId: id, deliveries: unprotected.length });
    return;
  }
  try {
    if (dropped.status === "rejected") throw dropped.reason;
    const decision = await decideNow(core, id, answer, "check");
    await finish(core, closed, answer === "committed", decision);
  } catch (error) {
    if (!closed.proceed || answer !== "committed") return core.emit({ type: "undecided", transactionId: id, error });
    const own: Decision = { verdict: answer, decidedAt: core.clock.now() };
    await unprotectedEnding(core, closed, own, [...closed.records, ...unprotected]).afterwards?.();
  }
}

/** Asks a check. Whatever is not a verdict (an error, another value, a check that is not there) is `"unknown"`. */
export async function askCheck(core: Core, name: string, transactionId: string, attempt: number): Promise<CheckAnswer> {
  try {
    const answer = await askInTime(core, `the check "${name}"`, () => core.checks[name]!(transactionId));
    if (answer === "committed" || answer === "rolledBack" || answer === "unknown") return answer;
    throw new TypeError(
      `Expected the check "${name}" to answer "committed", "rolledBack" or "unknown", found another value.`,
    );
  } catch (error) {
    core.emit({ type: "checkFailed", transactionId, attempt, error });
    return "unknown";
  }
}
