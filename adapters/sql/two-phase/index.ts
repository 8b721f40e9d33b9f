/**
 * Two-phase commit on PostgreSQL: a participant whose try is PREPARE TRANSACTION.
 *
 * @module
 */
export { DEFAULT_MAX_PREPARED, twoPhase } from "./two-phase.ts";
export type {
  InDoubt,
  TwoPhase,
  TwoPhaseBranch,
  TwoPhaseClientLike,
  TwoPhaseHandlers,
  TwoPhaseOptions,
  TwoPhasePoolLike,
} from "./two-phase.ts";
