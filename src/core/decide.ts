import type { CheckAnswer, Decision, Verdict } from "../model/states.ts";
import { askInTime, askLog } from "./ask.ts";
import { bury } from "./dead-letters.ts";
import { carryOut, decidedAs } from "./dispatch.ts";
import type { Core } from "./core.ts";
import type { ClosedTransaction } from "./transaction.ts";

/** What ending a transaction left. */
export interface Ending {
  /** The decision could not be written: the answer says so, recovery decides. */
  readonly undecided: boolean;
  /** What remains to be done once the response is on its way; never rejects. */
  readonly afterwards: (() => Promise<void>) | undefined;
}

const NOTHING_LEFT: Ending = { undecided: false, afterwards: undefined };

/**
 * Ends the transaction of a request whose handler has ended: decides it, before the response. Where a check decides
 * failures, that comes afterwards. No I/O where nothing was published; never rejects.
 */
export async function endTransaction(core: Core, closed: ClosedTransaction, success: boolean): Promise<Ending> {
  if (closed.records.length === 0 && closed.uncertain.length === 0) return NOTHING_LEFT;
  if (!success && closed.check !== undefined) {
    const name = closed.check;
    return { undecided: false, afterwards: () => decideByCheck(core, closed, name) };
  }
  try {
    await dropUncertain(core, closed);
    const decision = await decideNow(core, closed.id, success ? "committed" : "rolledBack", "request");
    return { undecided: false, afterwards: () => finish(core, closed, success, decision) };
  } catch (error) {
    core.emit({ type: "undecided", transactionId: closed.id, error });
    return { undecided: true, afterwards: undefined };
  }
}

/** Takes out of the log what was refused to the handler, before there is a decision that could send it. */
export async function dropUncertain(core: Core, closed: ClosedTransaction): Promise<void> {
  if (closed.uncertain.length === 0) return;
  const changes = closed.uncertain.map((record) => ({ record, settled: true as const }));
  await askLog(core, "the log to drop what it did not confirm", () => core.store!.transactions.record(changes));
}

async function decideNow(
  core: Core,
  transactionId: string,
  verdict: Verdict,
  by: "request" | "check",
): Promise<Decision> {
  const decision = await askLog(core, "the log to decide", () =>
    core.store!.transactions.decide(transactionId, verdict, core.clock.now()),
  );
  if (decision.verdict === verdict) core.emit({ type: "decided", transactionId, verdict, by });
  return decision;
}

/** Carries a decision out after the response; a success that had been rolled back is kept for a person. */
async function finish(core: Core, closed: ClosedTransaction, success: boolean, decision: Decision): Promise<void> {
  if (success !== (decision.verdict === "committed")) {
    core.emit({ type: "conflict", transactionId: closed.id, deliveries: closed.records.length });
    if (success) await keepConflict(core, closed, decision);
  }
  if (closed.overdue) await releaseHeld(core, closed.id);
  await carryOut(core, decidedAs(decision, closed.records));
}

async function keepConflict(core: Core, closed: ClosedTransaction, decision: Decision): Promise<void> {
  for (const record of closed.records.filter((candidate) => candidate.on === "commit")) {
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
    await askLog(core, "the log to release what it held", () => core.store!.deadLetters.release(transactionId));
  } catch (error) {
    core.emit({ type: "recordFailed", error });
  }
}

/** After a failure, with the handler known to have ended, one answer of the check counts; no answer leaves it to the sweep. */
async function decideByCheck(core: Core, closed: ClosedTransaction, name: string): Promise<void> {
  try {
    await dropUncertain(core, closed);
    const answer = await askCheck(core, name, closed.id, 1);
    if (answer === "unknown") return;
    const decision = await decideNow(core, closed.id, answer, "check");
    await finish(core, closed, answer === "committed", decision);
  } catch (error) {
    core.emit({ type: "undecided", transactionId: closed.id, error });
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
