/** How a transaction ends; decided once, never changed. */
export type Verdict = "committed" | "rolledBack";

/** Where a transaction stands. `held` is a mark on an undecided one that waits for a person, not a decision. */
export type TransactionState = "prepared" | Verdict;

/** Where a delivery (one message to one destination) stands. */
export type DeliveryState = "half" | "published" | "delivered" | "dead" | "revoked";

/**
 * How the outcome of a transaction is decided: by the response status alone, by the user's check as well, or by a row in
 * the user's own SQL transaction.
 */
export type Level = "marked" | "checked" | "barrier";

/** What a check answers about the business work of a transaction. */
export type CheckAnswer = Verdict | "unknown";

/** A decision in force: the verdict, and when it was made (the decider's clock, constant from then on). */
export interface Decision {
  /** How the transaction ended. */
  readonly verdict: Verdict;
  /** Milliseconds since 1970. */
  readonly decidedAt: number;
}
