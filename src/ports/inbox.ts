import type { Verdict } from "../model/states.ts";

/** Which run of which message: the key of an inbox entry. */
export interface InboxKey {
  /** The consumer's name, unique among all that share the inbox. */
  readonly consumer: string;
  /** The message's id. */
  readonly messageId: string;
}

/** A claim on a message, made by one run of its handler. */
export interface InboxClaim extends InboxKey {
  /** The fencing token: random, one per run. */
  readonly token: string;
}

/** What a claim found. */
export type ClaimOutcome =
  /** The message is new, or its last run lapsed: run it. */
  | { readonly state: "claimed" }
  /** It was done: answer with the stored outcome. */
  | { readonly state: "done"; readonly outcome: string }
  /** Another run holds the lease. */
  | { readonly state: "busy" };

/** What completing found. */
export type CompleteOutcome =
  | "completed"
  /** The lease is no longer this run's. */
  | "lost"
  /** What the run published had been rolled back. */
  | "rolledBack";

/**
 * Remembers what was consumed. Idempotent under "applied, reply lost, sent again", on the store's own clock.
 * At most one run at a time holds the lease of a message.
 */
export interface Inbox {
  /** Takes the lease of a message, unless it is done or another run holds it. */
  claim(claim: InboxClaim, leaseMillis: number): Promise<ClaimOutcome>;
  /** Prolongs the lease; `false` where it is no longer this run's. */
  renew(claim: InboxClaim, leaseMillis: number): Promise<boolean>;
  /**
   * Stores the outcome and ends the lease; with `child`, commits that transaction in the same act. Only for the run that
   * still holds the lease; sent again by the same run, it answers `"completed"` again.
   */
  complete(claim: InboxClaim, completion: Completion): Promise<CompleteOutcome>;
  /** Ends the lease without an outcome, so that a retry may run at once. Another's lease is left alone. */
  release(claim: InboxClaim): Promise<void>;
}

/** What is stored of a run that succeeded. */
export interface Completion {
  /** JSON text. */
  readonly outcome: string;
  /** How long the outcome is remembered, at least. */
  readonly retentionMillis: number;
  /** The transaction of what the run published; needs an inbox in the same store as the log. */
  readonly child?: { readonly transactionId: string; readonly at: number };
}

/** Looks without claiming. */
export interface InboxReader {
  /** Whether the message is done, held by a run (and by which), or neither. */
  look(
    key: InboxKey,
  ): Promise<
    { readonly state: "done" } | { readonly state: "leased"; readonly token: string } | { readonly state: "new" }
  >;
}

/** An inbox in the same store as the log: it knows what runs published. */
export interface InboxChildren {
  /**
   * Rolls back what a run published, if that run can no longer complete: one act with looking at its lease.
   * `undefined` while it still holds.
   */
  rollBackLapsed(
    claim: InboxClaim,
    child: { readonly transactionId: string; readonly at: number },
  ): Promise<Verdict | undefined>;
}
