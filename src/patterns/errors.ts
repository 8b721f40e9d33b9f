import { AftercommitError } from "../errors.ts";
import type { ErrorCode, ErrorDetails } from "../errors.ts";

/**
 * A participant's own decision: no. Thrown by its try, and by `tx.try` or `tx.step` of the service that called it. Nothing
 * was reserved; the branch is cancelled all the same.
 *
 * @example
 * ```ts
 * if (left < count) throw new RefusedError("out of stock");
 * ```
 */
export class RefusedError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_REFUSED"];
  /** The participant's words; the caller gets them. */
  readonly reason: string;
  /** The participant's name, where it was called. */
  readonly participant: string | undefined;
  /** The branch, where it was called. */
  readonly branchId: string | undefined;

  /** Makes one with the words that the caller gets. */
  constructor(reason: string, details: BranchDetails = {}) {
    const { participant, branchId, ...rest } = details;
    super("ERR_REFUSED", reason, { hint: "The participant has nothing reserved for this branch.", ...rest });
    this.message = reason;
    this.reason = reason;
    this.participant = participant;
    this.branchId = branchId;
  }
}

/**
 * A participant did not answer, or with an error: it is not known whether it has done its part. The branch is cancelled,
 * whatever becomes of the transaction; the same request may be made again.
 */
export class ParticipantUnavailableError extends AftercommitError {
  /** The codes that its errors carry. */
  static override readonly codes: readonly ErrorCode[] = ["ERR_PARTICIPANT_UNAVAILABLE"];
  /** The participant's name. */
  readonly participant: string | undefined;
  /** The branch. */
  readonly branchId: string | undefined;

  /** Makes one; always retryable. */
  constructor(message: string, details: BranchDetails & { readonly hint?: string } = {}) {
    const { participant, branchId, ...rest } = details;
    super("ERR_PARTICIPANT_UNAVAILABLE", message, {
      hint: "The branch is cancelled; make the request again once the participant answers.",
      retryable: true,
      ...rest,
    });
    this.participant = participant;
    this.branchId = branchId;
  }
}

/** Which branch it was. */
export interface BranchDetails extends Partial<Omit<ErrorDetails, "hint" | "retryable" | "messageId">> {
  /** The participant's name. */
  readonly participant?: string;
  /** The branch. */
  readonly branchId?: string;
}
