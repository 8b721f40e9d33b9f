import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision, Verdict } from "../model/states.ts";

/**
 * Where half messages and decisions are kept.
 *
 * Every operation is idempotent under "applied, reply lost, sent again", and is decided inside the store, on the
 * store's own clock: relative times come in, and no caller's clock decides what is due. A rejected promise means "not
 * known": the call may have been applied.
 */
export interface TransactionLog {
  /**
   * Keeps the records of one transaction as half messages, all or none. Each is due `deadlineMillis` from now.
   * A record that is there already, or has been settled meanwhile by a caller that is ahead, changes nothing that matters:
   * its decision stands.
   */
  prepare(records: readonly DeliveryRecord[]): Promise<void>;

  /**
   * Decides a transaction, once: compare-and-set. Resolves to the decision in force, which is another's where another
   * was first. `at` is the time to keep with it, by the caller's clock; it orders nothing.
   */
  decide(transactionId: string, verdict: Verdict, at: number): Promise<Decision>;

  /** The decisions in force; a transaction without one is absent. May lag behind another client's `decide`. */
  decisions(transactionIds: readonly string[]): Promise<ReadonlyMap<string, Decision>>;

  /**
   * Records what became of deliveries. A change with a token applies only while that claim still holds; one without
   * applies to a record that is there, and never creates one.
   */
  record(changes: readonly DeliveryChange[]): Promise<void>;

  /** Leases what is due, each record to one sweeper at a time. */
  claimDue(options: ClaimOptions): Promise<ClaimedBatch>;
}

/** Where an unsettled record stands: not sent yet; sent and unconfirmed; not sent, and its check said "no" once. */
export type Mark = "half" | "published" | "doubted";

/** What becomes of a record: it is looked at again later, or it is settled and its payload dropped. */
export type DeliveryChange = {
  readonly record: DeliveryRecord;
  /** The fencing token of the claim; absent for the request that prepared the record and for the consumer that completed it. */
  readonly token?: number;
} & (
  | { readonly settled: true }
  | {
      readonly mark: Mark;
      /** How often the current step was tried, 0 to {@link MAX_ATTEMPTS}. */
      readonly attempts: number;
      /** When it is due again, in milliseconds from now on the store's clock; at least 1. */
      readonly afterMillis: number;
    }
);

/** The highest number of attempts that a log counts; more are counted as this. */
export const MAX_ATTEMPTS = 255;

/** How much to claim, and for how long. */
export interface ClaimOptions {
  /** At most so many records, 1 to 500. */
  readonly limit: number;
  /** A claim that is neither recorded nor released lapses after so long. */
  readonly leaseMillis: number;
  /** The caller's clock, used only to spare a store that has nothing due a costlier look. */
  readonly now: number;
  /** Something is known to be due, because the claim before said that there is more: no such look is needed. @default false */
  readonly expected?: boolean;
}

/** What a claim brought. */
export interface ClaimedBatch {
  /** The leased records. */
  readonly claims: readonly Claim[];
  /** Whether more may be due. */
  readonly more: boolean;
  /** The first part of each record that was due and could not be read; they are left, due again later. */
  readonly undecodable: readonly string[];
}

/** One leased record. */
export interface Claim {
  /** The delivery. */
  readonly record: DeliveryRecord;
  /** The fencing token: rises with each claim of the record. */
  readonly token: number;
  /** Where it stands. */
  readonly mark: Mark;
  /** How often the current step was tried before. */
  readonly attempts: number;
  /** When the record had become due, in milliseconds since 1970 on the store's clock. */
  readonly dueAt: number;
}
