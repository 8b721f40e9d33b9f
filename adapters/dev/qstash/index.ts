/**
 * An embedded QStash, built from the service's documentation, its API description and the requests of its SDK.
 *
 * A message travels through these files: `api.ts` and `routes/` take the request, `publish-headers.ts` reads what it
 * asks for, `publisher.ts` accepts it, `dispatcher.ts` decides when it goes out (with `queues.ts` and
 * `flow-control.ts`), `attempt.ts` signs and sends it, `delivery.ts` does what follows: retry, `dead-letters.ts`,
 * `callbacks.ts`. `event-log.ts` sees all of it.
 *
 * Not emulated: workflows, the LLM and e-mail destinations, read-only tokens, several regions, quotas other than
 * retries, delay and message size, retention times, billing, and anything beyond the life of the process. Where the
 * service is slow on purpose (a schedule loads within a minute, a queue resumes within one), this is immediate.
 *
 * @module
 */
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
