/**
 * What Cloudflare Queues take, 1 KB being 1,000 bytes. Source: developers.cloudflare.com/queues/platform/limits.
 */

/** The largest message, less the hundred bytes of its own that Cloudflare may count. */
export const MAX_MESSAGE_BYTES: number = 128_000 - 100;
/** The most messages in one `sendBatch`. */
export const MAX_BATCH_MESSAGES = 100;
/** The most bytes in one `sendBatch`: 256 KB, less what Cloudflare counts for each message. */
export const MAX_BATCH_BYTES: number = 256_000 - MAX_BATCH_MESSAGES * 100;
/** The longest that a queue keeps a message back, when it is sent or tried again: 12 hours. Newer queues take 24. */
export const MAX_DELAY_SECONDS = 43_200;
