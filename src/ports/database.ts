import type { DeliveryRecord } from "../model/delivery.ts";
import type { Barrier, BarrierReader } from "./barrier.ts";
import type { MaybePromise } from "./crypto.ts";
import type { Inbox, InboxClaim, InboxReader } from "./inbox.ts";

/**
 * A business database: it runs the user's SQL transactions with our rows in them, so that its COMMIT decides about both.
 *
 * `Sql` is the driver's handle on an open transaction, `Statement` and `Results` what its batches take and give.
 */
export interface Database<Sql = unknown, Statement = unknown, Results = unknown> {
  /** The same rows, from outside of the user's transactions. */
  readonly barrier: Barrier;
  /** What people see of them. */
  readonly reader: BarrierReader;
  /** An inbox in this database: a consumer that uses it needs no other store. */
  readonly inbox: Inbox & InboxReader;
  /** The most bytes of messages that one row can hold; no limit of ours where it is left out. */
  readonly maxRowBytes?: number;

  /**
   * Runs a transaction of the user's. Absent where the database takes batches only. Never rejects: whatever happens is an
   * outcome, and no outcome but `"unknown"` is ever in doubt.
   */
  readonly run?: <T>(work: (unit: UnitOfWork<Sql>) => Promise<T>, options?: UnitOptions) => Promise<UnitOutcome<T>>;

  /** Runs the user's statements and our rows as one transaction in one call. Absent where the driver has no such call. */
  readonly batch?: (statements: readonly Statement[], riders: Riders) => Promise<UnitOutcome<Results>>;

  /** Writes our rows alone, as one transaction. */
  write(riders: Riders): Promise<UnitOutcome<undefined>>;

  /**
   * Finds out whether our tables are there and may be used, and whether this is the database that decides and not a replica.
   *
   * @throws {DatabaseNotReadyError} with the SQL to run.
   */
  verify(): Promise<void>;

  /** Ends what a factory opened for one use. */
  readonly close?: () => Promise<void>;
}

/** Any database, whatever its driver. */
export type AnyDatabase = Database<unknown, never>;

/** A database, or what opens one for each use: on Workers a socket belongs to the request that opened it. */
export type DatabaseSource = AnyDatabase | (() => MaybePromise<AnyDatabase>);

/** An open SQL transaction. */
export interface UnitOfWork<Sql> {
  /** The driver's own handle, for the user. */
  readonly sql: Sql;
  /** Writes the inbox row, before the work; a message that is done already ends the transaction as `"duplicate"`. */
  consume(consumed: Consumed): Promise<void>;
  /** Writes the decision, as the last statement; a transaction rolled back meanwhile ends as `"late"`. */
  decide(decision: NewDecision): Promise<void>;
  /** Keeps what the work of a consumed message came to, as JSON. */
  keepOutcome(claim: InboxClaim, outcome: string): Promise<void>;
  /** Runs a part that can be rolled back alone: what it throws comes through, after its statements were undone. */
  savepoint<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

/** How a transaction runs. */
export interface UnitOptions {
  /** The isolation level, where the database has several. @default the database's own */
  readonly isolation?: Isolation;
}

/** The isolation levels of the SQL standard that databases keep. */
export type Isolation = "read committed" | "repeatable read" | "serializable";

/** Our rows in the user's transaction. */
export interface Riders {
  /** The inbox row of the message that is consumed. */
  readonly consumed?: Consumed;
  /** The decision, with the messages that it sends. */
  readonly decision?: NewDecision;
}

/** A message that is done when the transaction commits. */
export interface Consumed {
  /** The run that does it. */
  readonly claim: InboxClaim;
  /** How long it is remembered, at least. */
  readonly retentionMillis: number;
  /** What it came to, as JSON, where that is known beforehand. @default "null" */
  readonly outcome?: string;
}

/** The decision `committed`, as the user's transaction writes it. */
export interface NewDecision {
  /** The transaction. */
  readonly transactionId: string;
  /** The deployment it belongs to. */
  readonly source: string;
  /** What it sends. */
  readonly records: readonly DeliveryRecord[];
  /** When it was decided, in milliseconds since 1970 by the caller's clock. */
  readonly at: number;
  /** How long after it, by the database's clock, a sweep goes on with it. */
  readonly dueMillis: number;
}

/** How a transaction ended. */
export type UnitOutcome<T> =
  | { readonly status: "committed"; readonly value: T }
  /** Certainly; `retryable` where the database asks for another try (serialization failure, deadlock, busy). */
  | { readonly status: "rolledBack"; readonly error: unknown; readonly retryable: boolean }
  /** Rolled back, because the transaction had been decided before. */
  | { readonly status: "late"; readonly error: unknown }
  /** Rolled back, because the message is done; with what it came to, as JSON. */
  | { readonly status: "duplicate"; readonly outcome: string }
  /** COMMIT was sent, and its answer was lost. */
  | { readonly status: "unknown"; readonly error: unknown };
