/**
 * What happens to the data of messages on their way: encryption from end to end, and a claim check for large ones.
 *
 * @module
 */
export { DEFAULT_ABOVE_BYTES, DEFAULT_AT_MOST_BYTES, DEFAULT_KEEP_MILLIS } from "./claim-check.ts";
export type { ClaimCheckOptions } from "./claim-check.ts";
export type { EncryptionKey, EncryptionOptions } from "./encryption.ts";
export { payloads } from "./payloads.ts";
export type { PayloadsOptions } from "./payloads.ts";
export type * from "../ports/payload-codec.ts";
export type * from "../ports/payload-store.ts";
