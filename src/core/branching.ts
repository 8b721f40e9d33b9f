import type { DeliveryRecord } from "../model/delivery.ts";
import type { Duration } from "../model/duration.ts";
import type { Core } from "./core.ts";
import type { OpenOptions } from "./half-message.ts";

/** How one call of a participant differs from what its contract says. */
export interface BranchOptions {
  /** How long one attempt may take. @default the participant's own, else `transportTimeout` */
  readonly timeout?: Duration;
  /** How often the call is made again where it got no answer. @default the participant's own, else DEFAULT_CALL_RETRIES */
  readonly retries?: number;
}

/** What `tx.try` and `tx.step` call. It brings its own implementation, so that an app without patterns takes in none. */
export interface BranchTarget<Kind extends "try" | "step", Input, Result> {
  /** Which of the two it is for. */
  readonly kind: Kind;
  /** Registers what ends the branch with its transaction, then calls it. */
  begin(transaction: object, data: Input, options: BranchOptions): Promise<Result>;
}

/** What a {@link BranchTarget} is given as its transaction. */
export interface Branching {
  /** The ports and settings of the service. */
  readonly core: Core;
  /** Whose transaction it is. */
  readonly open: OpenOptions;
  /** Aborts when the transaction ends: a branch that nobody waited for is cancelled. */
  readonly ended: AbortSignal;
  /** The place of one more message. */
  next(): number;
  /**
   * Registers what ends a branch, in the place of what `replaced` holds. It is kept when the promise resolves.
   *
   * @throws {TransactionStateError} where the transaction is decided, or its SQL runs.
   * @throws {UnavailableError} where it could not be kept; then the branch must not be called.
   */
  enlist(records: BranchRecords, replaced?: readonly DeliveryRecord[]): Promise<EnlistedBranch>;
}

/** What ends a branch. */
export interface BranchRecords {
  /** Sent by a commit, once the branch has succeeded. */
  readonly confirm: readonly DeliveryRecord[];
  /** Sent by a commit where it has failed, or where that is not known. */
  readonly standby: readonly DeliveryRecord[];
  /** Sent by a rollback. */
  readonly cancel: readonly DeliveryRecord[];
}

/** A branch that a transaction ends. */
export interface EnlistedBranch {
  /** From now on a commit confirms it. Throws where the transaction has ended meanwhile. */
  succeeded(): void;
  /** A commit cancels it. Never rejects: what could not be kept now is kept before there is a commit. */
  failed(): Promise<void>;
}
