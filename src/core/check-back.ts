import type { Decision, Verdict } from "../model/states.ts";
import type { ParentRun } from "../model/delivery.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, DeliveryChange } from "../ports/transaction-log.ts";
import { askInbox, askLog } from "./ask.ts";
import { backOff, CHECK_BACK_OFF } from "./back-off.ts";
import { askCheck } from "./decide.ts";
import { readableInboxes, logOf } from "./core.ts";
import type { Core } from "./core.ts";
import { carryOut } from "./dispatch.ts";

/** What became of an undecided transaction's records. */
export interface CheckedBack {
  readonly published: number;
  readonly held: number;
}

/** How long a record waits that only another deployment can decide. */
const FOREIGN_MILLIS = 300_000;

/**
 * Finds out about an undecided transaction whose deadline has passed.
 *
 * - Published by a consumer's run: rolled back as soon as that run cannot complete any more, left alone while it can.
 * - With a check: its answer decides; "rolled back" only when said twice, spaced, because the handler may still run;
 *   no verdict is asked for again with growing waits, and after the last attempt the transaction is held.
 * - With neither (level `marked`): held for a person. Nothing is decided by absence.
 */
export async function checkBack(core: Core, transactionId: string, claims: readonly Claim[]): Promise<CheckedBack> {
  const { record } = claims[0]!;
  if (record.parent !== undefined) return checkParentRun(core, transactionId, claims);
  if (record.check === undefined) return hold(core, transactionId, claims, "the request ended without a decision");
  if (core.checks[record.check] === undefined) {
    await postpone(core, claims, (claim) => ({
      mark: claim.mark,
      attempts: claim.attempts,
      afterMillis: FOREIGN_MILLIS,
    }));
    return { published: 0, held: 0 };
  }
  const attempts = Math.max(...claims.map((claim) => claim.attempts));
  const answer = await askCheck(core, record.check, transactionId, attempts + 1);
  if (answer === "unknown") {
    if (attempts + 1 >= core.settings.checkAttempts) {
      return hold(
        core,
        transactionId,
        claims,
        `the check "${record.check}" gave no verdict in ${attempts + 1} attempts`,
      );
    }
    const afterMillis = backOff(CHECK_BACK_OFF, attempts, core.crypto);
    await postpone(core, claims, (claim) => ({
      mark: claim.mark,
      attempts: Math.min(attempts + 1, MAX_ATTEMPTS),
      afterMillis,
    }));
    return { published: 0, held: 0 };
  }
  if (answer === "rolledBack" && claims.some((claim) => claim.mark !== "doubted")) {
    await postpone(core, claims, () => ({ mark: "doubted", attempts, afterMillis: core.settings.checkSpacingMillis }));
    return { published: 0, held: 0 };
  }
  return decideAndCarryOut(core, transactionId, answer, claims, "check");
}

/** What a consumer's run published stands or falls with its lease. */
async function checkParentRun(core: Core, transactionId: string, claims: readonly Claim[]): Promise<CheckedBack> {
  const parent = claims[0]!.record.parent!;
  const child = { transactionId, at: core.clock.now() };
  const verdict = (await runsElsewhere(core, parent))
    ? undefined
    : await askInbox(core, "the inbox to tell of a run", () => logOf(core).inbox.rollBackLapsed(parent, child));
  if (verdict === undefined) {
    await postpone(core, claims, (claim) => ({
      mark: claim.mark,
      attempts: claim.attempts,
      afterMillis: core.settings.inboxLeaseMillis,
    }));
    return { published: 0, held: 0 };
  }
  return decideAndCarryOut(core, transactionId, verdict, claims, "sweep");
}

/** Whether the run holds its lease in an inbox that is not the log's. Should it lapse right after, completing it finds out. */
async function runsElsewhere(core: Core, parent: ParentRun): Promise<boolean> {
  for (const inbox of readableInboxes(core)) {
    if (inbox === logOf(core).inbox) continue;
    const found = await askInbox(core, "the inbox to tell of a run", () => inbox.look(parent));
    if (found.state === "leased" && found.token === parent.token) return true;
  }
  return false;
}

async function decideAndCarryOut(
  core: Core,
  transactionId: string,
  verdict: Verdict,
  claims: readonly Claim[],
  by: "check" | "sweep",
): Promise<CheckedBack> {
  const decision: Decision = await askLog(core, "the log to decide", () =>
    logOf(core).transactions.decide(transactionId, verdict, core.clock.now()),
  );
  if (decision.verdict === verdict) core.emit({ type: "decided", transactionId, verdict, by });
  else core.emit({ type: "conflict", transactionId, deliveries: claims.length });
  const decided = claims.map(({ record, token }) => ({ record, token, decision, attempts: 0 }));
  return { published: await carryOut(core, decided), held: 0 };
}

async function hold(core: Core, transactionId: string, claims: readonly Claim[], reason: string): Promise<CheckedBack> {
  const held = await askLog(core, "the log to hold", () => logOf(core).deadLetters.hold(claims));
  if (held > 0) core.emit({ type: "held", transactionId, reason });
  return { published: 0, held };
}

type Later = Extract<DeliveryChange, { mark: unknown }>;

async function postpone(
  core: Core,
  claims: readonly Claim[],
  later: (claim: Claim) => Pick<Later, "mark" | "attempts" | "afterMillis">,
): Promise<void> {
  const changes = claims.map((claim) => ({ record: claim.record, token: claim.token, ...later(claim) }));
  await askLog(core, "the log to postpone", () => logOf(core).transactions.record(changes));
}
