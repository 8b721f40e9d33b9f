import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import type { DeadLetter } from "./dead-letters.ts";
import type { Mark } from "./transaction-log.ts";

/**
 * Reads for people: dashboards, command lines, tests. Never used to decide anything. The order of a list holds within
 * each part of a store that has several.
 */
export interface LogReader {
  /** All that is kept of a transaction: its decision, and its deliveries that are not settled. */
  transaction(transactionId: string): Promise<TransactionView>;
  /** The dead letter of a delivery, if it is dead. */
  deadLetter(key: string): Promise<DeadLetter | undefined>;
  /** Dead letters, oldest transaction first. */
  listDead(page?: PageOptions): Promise<Page<DeadLetter>>;
  /** Held deliveries, oldest transaction first. */
  listHeld(page?: PageOptions): Promise<Page<DeliveryRecord>>;
  /** Unsettled deliveries, soonest due first: `published` ones are sent and unconfirmed. */
  listUnsettled(page?: PageOptions): Promise<Page<UnsettledView>>;
  /** How much there is of everything. */
  counts(): Promise<LogCounts>;
}

/** Which part of a list to read. */
export interface PageOptions {
  /** From the page before; the beginning where it is left out. */
  readonly cursor?: string;
  /** How many, at most. @default 50 */
  readonly limit?: number;
}

/** A part of a list; `cursor` leads to the next one and is absent on the last. */
export interface Page<T> {
  /** What the part has, in the list's order. */
  readonly items: readonly T[];
  /** Leads to the next part. */
  readonly cursor?: string;
}

/** An unsettled delivery as it stands. */
export interface UnsettledView {
  /** The delivery. */
  readonly record: DeliveryRecord;
  /** Where it stands. */
  readonly mark: Mark;
  /** How often the current step was tried. */
  readonly attempts: number;
  /** Milliseconds since 1970 on the store's clock; absent while no sweep has seen the record yet. */
  readonly dueAt?: number;
}

/** A transaction as it stands. */
export interface TransactionView {
  /** Which transaction this is. */
  readonly transactionId: string;
  /** Its decision, if it is decided and not yet forgotten. */
  readonly decision?: Decision;
  /** Its deliveries that are not settled. */
  readonly unsettled: readonly UnsettledView[];
  /** Its deliveries that wait for a person. */
  readonly held: readonly DeliveryRecord[];
  /** Its dead letters. */
  readonly dead: readonly DeadLetter[];
}

/** How much there is of everything. */
export interface LogCounts {
  /** Deliveries that are not settled; at `barrier` transactions, and the hints that stand for them. */
  readonly unsettled: number;
  /** Deliveries that wait for a person. */
  readonly held: number;
  /** Dead letters. */
  readonly dead: number;
  /** Decisions that are kept. */
  readonly decisions: number;
}
