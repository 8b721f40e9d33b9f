export type { QueueBatchLike, QueueLike, QueueMessageLike, QueueSendLike } from "./bindings.ts";
export { DEFAULT_CONCURRENCY, defaultRetryDelay, queueHandler } from "./handler.ts";
export type { QueueHandler, QueueHandlerOptions } from "./handler.ts";
export { cloudflareQueues } from "./transport.ts";
export type { CloudflareQueuesOptions } from "./transport.ts";
