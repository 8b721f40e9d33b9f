import { join } from "node:path";
import type { Claim } from "./spin.ts";

/** A model of the protocol. */
export type ModelName = "barrier" | "checked";

/** Where a model's file is. */
export function pathOf(model: ModelName): string {
  return join(import.meta.dirname, `${model}.pml`);
}

/** The protocol as it is: every claim must hold. */
export interface Sound {
  readonly model: ModelName;
  /** How much of it, and with how many faults. */
  readonly part: string;
  readonly defines: readonly string[];
  readonly claims: readonly Claim[];
  /** Only where there is time: minutes, and gigabytes. */
  readonly deep?: boolean;
}

/** A known wrong design: the claim must not hold. */
export interface Mutant {
  readonly model: ModelName;
  /** The switch in the model. */
  readonly name: string;
  readonly defines: readonly string[];
  /** The claim that catches it. */
  readonly caughtBy: string;
  /** What is wrong with it. */
  readonly design: string;
}

const LIVENESS: Readonly<Record<ModelName, readonly Claim[]>> = {
  barrier: ["ltl committedIsDoneOrDead", "ltl intentIsDecidedAndCarriedOut", "ltl everyRowIsSettled"],
  checked: ["ltl preparedIsDecidedOrHeld", "ltl decidedIsCarriedOutOrHeld", "ltl conflictIsKept"],
};

/** What is verified of a mutant: the formula that is to catch it, or all assertions. */
export function claimOf({ model, caughtBy }: Mutant): Claim {
  return LIVENESS[model].find((claim) => claim === `ltl ${caughtBy}`) ?? "safety";
}

/** The sound models. All parts of one model together must reach every statement of it. */
export const SOUND: readonly Sound[] = [
  { model: "barrier", part: "the whole, 1 fault", defines: ["FAULTS=1"], claims: ["safety"] },
  { model: "barrier", part: "producing, 3 faults", defines: ["PRODUCING", "FAULTS=3"], claims: ["safety"] },
  { model: "barrier", part: "consuming, 3 faults", defines: ["CONSUMING", "FAULTS=3"], claims: ["safety"] },
  { model: "barrier", part: "the whole, no fault", defines: ["FAULTS=0"], claims: LIVENESS.barrier },
  { model: "barrier", part: "producing, 1 fault", defines: ["PRODUCING", "FAULTS=1"], claims: LIVENESS.barrier },
  { model: "barrier", part: "consuming, 1 fault", defines: ["CONSUMING", "FAULTS=1"], claims: LIVENESS.barrier },
  { model: "checked", part: "checked, 4 faults", defines: ["FAULTS=4"], claims: ["safety"] },
  { model: "checked", part: "checked, 3 faults", defines: ["FAULTS=3"], claims: LIVENESS.checked },
  { model: "checked", part: "marked, 4 faults", defines: ["MARKED", "FAULTS=4"], claims: ["safety"] },
  { model: "checked", part: "marked, 3 faults", defines: ["MARKED", "FAULTS=3"], claims: LIVENESS.checked },
  ...deep({ part: "the whole, 2 faults", defines: ["FAULTS=2"], claims: ["safety"] }),
  ...deep({ part: "the whole, 1 fault", defines: ["FAULTS=1", "INTENTS=1"], claims: LIVENESS.barrier }),
  ...deep({ part: "producing, 2 faults", defines: ["PRODUCING", "FAULTS=2"], claims: LIVENESS.barrier }),
  ...deep({ part: "consuming, 2 faults", defines: ["CONSUMING", "FAULTS=2"], claims: LIVENESS.barrier }),
];

function deep(sound: Omit<Sound, "model" | "deep">): readonly Sound[] {
  return sound.claims.map((claim) => ({ ...sound, model: "barrier", claims: [claim], deep: true }));
}

/** The mutants. */
export const MUTANTS: readonly Mutant[] = [
  producing("NO_UNIQUE_KEY", "decisionNeverChanges", "the decision's INSERT does not fail where there is one"),
  producing(
    "NO_INTENT_LOCK",
    "decisionHoldsAllThatWasKept",
    "check-back reads the intent in one transaction and decides in another",
  ),
  producing("NO_MARKER_ROW", "neverBothDirections", "check-back sees no commit, and rolls back without writing a row"),
  producing(
    "HINT_ABSENCE_ROLLS_BACK",
    "onlyAnIntentIsRolledBack",
    "a hint without a row is taken for a transaction that was rolled back",
  ),
  producing(
    "STATUS_AS_TRUTH_COMMITS",
    "publishedOnlyAfterCommit",
    "a success status is believed, though the SQL transaction was rolled back",
  ),
  producing(
    "STATUS_AS_TRUTH_ROLLS_BACK",
    "neverBothDirections",
    "a failure status is believed, though the SQL transaction had committed",
  ),
  producing(
    "ROLLBACK_AFTER_UNKNOWN",
    "neverBothDirections",
    "a COMMIT without a reply is taken for a rollback when its row is not there yet",
  ),
  producing("LATE_ERROR_SWALLOWED", "lateWorkIsUndone", "the work is committed though the decision's INSERT failed"),
  producing("PUBLISH_BEFORE_COMMIT", "publishedOnlyAfterCommit", "the messages go out before COMMIT"),
  producing("SETTLE_BEFORE_PUBLISH", "settledMeansAcceptedOrDead", "the row is settled before its messages go out"),
  producing(
    "PUBLISH_FAILURE_SWALLOWED",
    "settledMeansAcceptedOrDead",
    "a 429 or 5xx of the transport is taken for an acceptance",
  ),
  producing("NO_AUDIT", "everyRowIsSettled", "sweepers follow hints only"),
  producing("PAYLOAD_IN_REDIS", "committedIsDoneOrDead", "the messages are in Redis and not in the row"),
  consuming(
    "BLIND_SETTLE",
    "committedIsDoneOrDead",
    "results are written without naming the version that they were made from",
  ),
  consuming("LEASE_ONLY", "effectHappensOnce", "the inbox is a lease and a mark in Redis"),
  consuming("NO_INBOX_ROW", "effectHappensOnce", "the effect's transaction has no inbox row"),
  consuming("TRANSPORT_ID_AS_KEY", "effectHappensOnce", "the inbox key changes with a redrive"),
  consuming("DONE_BEFORE_EFFECT", "committedIsDoneOrDead", "the message is marked as done before the effect"),
  consuming("DEAD_LETTER_FORGOTTEN", "committedIsDoneOrDead", "a failure report is answered before it is recorded"),
  consuming("NO_LAPSE", "committedIsDoneOrDead", "the lease of a run that died does not lapse"),
  checked("NO_COMPARE_AND_SET", "decisionNeverChanges", "the last decision counts, and not the first"),
  checked(
    "OWN_VERDICT",
    "publishedOnlyAfterDecision",
    "whoever decides goes by its own verdict, not by the one in force",
  ),
  checked("NO_IS_SAID_ONCE", "committedWorkIsNotRolledBack", "the first “no” of the check is believed"),
  checked("UNKNOWN_ROLLS_BACK", "committedWorkIsNotRolledBack", "a check without a verdict is taken for a “no”"),
  checked("FAILURE_ROLLS_BACK", "committedWorkIsNotRolledBack", "a failure status rolls back without asking the check"),
  checked("HELD_IS_DROPPED", "settledMeansCarriedOut", "what is in doubt after the last attempt is dropped"),
  checked("SETTLE_BEFORE_PUBLISH", "settledMeansCarriedOut", "the record is settled before its message goes out"),
  checked("CONFLICT_IGNORED", "conflictIsKept", "a success after a rollback is not told to anyone"),
  checked("NO_SWEEP", "preparedIsDecidedOrHeld", "nobody looks at what a request has left"),
  checked("ABSENCE_ROLLS_BACK", "committedWorkIsNotRolledBack", "at `marked`, no decision is a rollback", "MARKED"),
];

function producing(name: string, caughtBy: string, design: string): Mutant {
  return { model: "barrier", name, defines: [name, "PRODUCING", "FAULTS=1"], caughtBy, design };
}

function consuming(name: string, caughtBy: string, design: string): Mutant {
  return { model: "barrier", name, defines: [name, "CONSUMING", "FAULTS=1"], caughtBy, design };
}

function checked(name: string, caughtBy: string, design: string, level?: string): Mutant {
  const defines = [name, "FAULTS=3", ...(level === undefined ? [] : [level])];
  return { model: "checked", name, defines, caughtBy, design };
}
