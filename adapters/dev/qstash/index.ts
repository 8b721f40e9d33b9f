export type { ApiCall } from "./api-call.ts";
export { ReplyLostError } from "./api-error.ts";
export type { Fault, Faults } from "./api.ts";
export type { Fetch } from "./attempt.ts";
export { createQStash, type QStash } from "./create-qstash.ts";
export { type AllowDestination, loopbackOnly } from "./destination.ts";
export type { MessageState, QStashEvent } from "./event-log.ts";
export {
  DEFAULT_DEDUPLICATION_WINDOW_MILLIS,
  DEFAULT_MAX_CONCURRENCY,
  DEFAULT_MAX_EVENTS,
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_RETRIES_LIMIT,
  DEV_CREDENTIALS,
  type QStashOptions,
} from "./options.ts";
export type { SigningKeys } from "./signing-keys.ts";
export type { Stats } from "./stats.ts";
export { type SetTimer, systemTimer } from "./time.ts";
