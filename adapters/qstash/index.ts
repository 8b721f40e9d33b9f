export type { QStashClientLike, QStashRequest } from "./client.ts";
export { DEFAULT_LABEL } from "./labels.ts";
export { DEFAULT_CLOCK_TOLERANCE, qstashReceiver } from "./receiver.ts";
export type { QStashReceiverOptions } from "./receiver.ts";
export type { SigningKeyOptions, SigningKeyPair } from "./signing-keys.ts";
export { qstash } from "./transport.ts";
export type { QStashOptions } from "./transport.ts";
