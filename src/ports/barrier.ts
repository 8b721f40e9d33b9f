import type { DecisionRow, DeliveryResults } from "../model/barrier-row.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Page, PageOptions } from "./log-reader.ts";

/**
 * The rows by which a business database decides its transactions, seen from outside of those transactions.
 *
 * A transaction has at most one decision, under a unique key: `committed`, written by the user's own SQL transaction
 * ({@link Database}), or `rolledBack`, written here, and only where an intent stands. Every operation is one SQL
 * transaction on the database's own clock, and idempotent under "applied, reply lost, sent again". A rejected promise
 * means "not known": the call may have been applied.
 */
export interface Barrier {
  /**
   * Keeps messages for the case that the transaction is rolled back: the first call writes the intent, each later one
   * replaces what it holds. For the one process that has the transaction. `false` where there is a decision by now, or one is being made: nothing was kept.
   */
  intend(intent: NewIntent): Promise<boolean>;

  /**
   * Decides a transaction that has an intent and no decision: rolls it back, and closes the intent in the same act.
   * Resolves to the decision in force, which is the user's where that was first; `undefined` where there is neither intent
   * nor decision. Waits a little for a decision that is being committed, and rejects where that takes longer.
   */
  rollBack(transactionId: string, at: number, dueMillis: number): Promise<DecisionRow | undefined>;

  /** The transactions as they stand; one that has neither intent nor decision is absent. */
  find(transactionIds: readonly string[]): Promise<ReadonlyMap<string, FoundRow>>;

  /** Leases what is unsettled and due of one source, each transaction to one sweeper at a time. */
  claimUnsettled(options: ClaimRowsOptions): Promise<ClaimedRows>;

  /**
   * Records what became of deliveries. A change applies only to the version that it was made from, and `false` stands for
   * one that met another. Settling a transaction closes its intent.
   */
  settle(changes: readonly RowChange[]): Promise<readonly boolean[]>;

  /**
   * Drops transactions that were settled longer ago than `retentionMillis`, intent and decision together, and what the
   * inbox need not remember any more. Never one that is unsettled, or of which a delivery is dead. Bounded; resolves to
   * how much was dropped.
   */
  cleanUp(options: {
    readonly source: string;
    readonly retentionMillis: number;
    readonly limit: number;
  }): Promise<number>;
}

/** All messages that a transaction has registered for the case that it is rolled back. */
export interface NewIntent {
  /** Rises with each call for a transaction, so that one that comes late changes nothing. */
  readonly sequence: number;
  /** The transaction. */
  readonly transactionId: string;
  /** The deployment it belongs to. */
  readonly source: string;
  /** What a rollback sends. */
  readonly records: readonly DeliveryRecord[];
  /** When they were registered, in milliseconds since 1970 by the caller's clock. */
  readonly at: number;
  /** How long after the first of them, by the database's clock, the outcome is looked into. */
  readonly dueMillis: number;
}

/**
 * What is known of a transaction: its decision, or that there is an intent without one. `overdue` where it is due to be
 * looked after by now, on the database's clock.
 */
export type FoundRow =
  | { readonly state: "decided"; readonly row: DecisionRow; readonly overdue: boolean }
  | { readonly state: "intended"; readonly records: readonly DeliveryRecord[]; readonly overdue: boolean }
  /** Written by a release that this one cannot read. */
  | { readonly state: "undecodable" };

/** How much to claim, and for how long. */
export interface ClaimRowsOptions {
  /** The deployment whose rows are meant; those of others are never touched. */
  readonly source: string;
  /** At most so many, 1 to 500. */
  readonly limit: number;
  /** A claim that is not settled lapses after so long. */
  readonly leaseMillis: number;
  /** A random text that names the claim. */
  readonly token: string;
}

/** What a claim brought. */
export interface ClaimedRows {
  /** Decided and unsettled. */
  readonly decided: readonly DecisionRow[];
  /** The ids of transactions with an intent and no decision. */
  readonly intended: readonly string[];
  /** The ids of transactions that another release wrote; they are left, due again later. */
  readonly undecodable: readonly string[];
  /** Whether more may be due. */
  readonly more: boolean;
}

/** What becomes of a decision row. */
export interface RowChange {
  /** The row as it was read. */
  readonly row: DecisionRow;
  /** All results, old and new. */
  readonly results: DeliveryResults;
  /** Nothing is left to be sent; otherwise it is due again after `dueMillis`. */
  readonly settled: boolean;
  /** When an unsettled row is looked at again, in milliseconds from now on the database's clock. */
  readonly dueMillis: number;
}

/** Reads for people. */
export interface BarrierReader {
  /** Transactions of which a delivery is dead, oldest first. */
  listDead(source: string, page?: PageOptions): Promise<Page<DecisionRow>>;
  /** Transactions that are not settled, soonest due first. */
  listUnsettled(source: string, page?: PageOptions): Promise<Page<UnsettledRow>>;
  /** How much there is. */
  counts(source: string): Promise<BarrierCounts>;
}

/** An unsettled transaction. */
export interface UnsettledRow {
  /** Which transaction this is. */
  readonly transactionId: string;
  /** What is known of it. */
  readonly found: FoundRow;
  /** When it is due, in milliseconds since 1970 on the database's clock. */
  readonly dueAt: number;
}

/** How much there is of one source. */
export interface BarrierCounts {
  /** Transactions that are not settled. */
  readonly unsettled: number;
  /** Deliveries that wait for a person. */
  readonly dead: number;
  /** Decisions that are kept. */
  readonly decisions: number;
}
