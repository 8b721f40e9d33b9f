/**
 * The `Idempotency-Key` header for callers: a request that is made again is not done again.
 *
 * @module
 */
export { idempotencyKey, REPLAYED_HEADER } from "./idempotency-key.ts";
export {
  DEFAULT_KEPT_BODY_LIMIT_BYTES,
  DEFAULT_PAYLOAD_LIMIT_BYTES,
  DEFAULT_RETENTION_MILLIS,
  IDEMPOTENCY_KEY_HEADER,
  MAX_KEY_LENGTH,
} from "./options.ts";
export type { IdempotencyOptions } from "./options.ts";
export type { IdempotencyProblem } from "./problem.ts";
