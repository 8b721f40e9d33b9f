import type { DeliveryRecord } from "../model/delivery.ts";
import type { Claim } from "./transaction-log.ts";

/** Why a delivery is dead. */
export type DeathReason =
  /** The transport used up its retries, or the consumer refused. */
  | "failed"
  /** The transport would not take it. */
  | "refused"
  /** Published under a decision that turned out otherwise; its payload is kept for a person. */
  | "conflict";

/** A delivery that waits for a person: everything needed to understand it, and to send it again. */
export interface DeadLetter {
  /** The delivery, as it was to be sent. */
  readonly record: DeliveryRecord;
  /** When its transaction was decided, in milliseconds since 1970. */
  readonly decidedAt: number;
  /** Why it is dead, for programs. */
  readonly reason: DeathReason;
  /** The last answer, or the transport's words; shortened. */
  readonly detail: string;
  /** The last HTTP status, where there was one. */
  readonly status?: number;
  /** When it was buried, in milliseconds since 1970. */
  readonly buriedAt: number;
  /** The transport's own id for its dead letter, where it keeps one. */
  readonly transportId?: string;
}

/** What waits for a person. All operations are idempotent and decided inside the store. */
export interface DeadLetters {
  /**
   * Moves a delivery to the dead letters, whether the log knows it or not. `"ignored"` where this epoch of it has
   * already been redriven or discarded; a delivery that is dead already stays as it was first recorded,
   * but for a failure recorded without the transport's id: the account that has it takes its place.
   */
  bury(letter: DeadLetter): Promise<"buried" | "ignored">;

  /**
   * Replaces the dead letter by `record` (the same delivery under a new epoch), due at once, stored before anything is
   * sent. `false` where the letter is no longer there.
   */
  redrive(letter: DeadLetter, record: DeliveryRecord): Promise<boolean>;

  /** Drops a dead letter for good. `false` where it is no longer there. */
  discard(letter: DeadLetter): Promise<boolean>;

  /** Sets claimed records apart until a person decides, but for those whose transaction is decided meanwhile. Resolves to how many. */
  hold(claims: readonly Claim[]): Promise<number>;

  /** Puts the held records of a transaction back, due at once. Resolves to how many. */
  release(transactionId: string): Promise<number>;
}
