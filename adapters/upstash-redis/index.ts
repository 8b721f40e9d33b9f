import type { LogStore } from "../../src/ports/log-store.ts";
import type { PayloadStore } from "../../src/ports/payload-store.ts";
import type { RedisStoreOptions } from "../redis/keys.ts";
import { redisPayloadStore } from "../redis/payload-store.ts";
import type { RedisPayloadOptions } from "../redis/payload-store.ts";
import { redisStore } from "../redis/store.ts";
import { upstashExecutor } from "./executor.ts";
import type { UpstashRedisLike } from "./executor.ts";

export type { RedisStoreOptions } from "../redis/keys.ts";
export type { RedisPayloadOptions } from "../redis/payload-store.ts";
export type { ScoredMember, UpstashRedisLike } from "./executor.ts";

/**
 * The log and the inbox on Upstash Redis, over HTTP.
 *
 * Upstash keeps what it acknowledged in memory and on block storage; its replicas follow asynchronously, so that a
 * failover may lose the last moments. Eviction must be off (it is by default): a log that drops keys loses messages.
 *
 * @example
 * ```ts
 * import { Redis } from "@upstash/redis";
 * const log = upstashRedis(new Redis({ url, token }), { namespace: "shop" });
 * ```
 */
export function upstashRedis(redis: UpstashRedisLike, options: RedisStoreOptions = {}): LogStore {
  return redisStore(upstashExecutor(redis), options);
}

/**
 * A payload store on Upstash Redis: a string for each payload, with its time to live. A request takes up to 10 MB there,
 * and storage is dearer than an object store's.
 *
 * @example
 * ```ts
 * payloads: payloads({ claimCheck: { store: upstashPayloads(redis) } }),
 * ```
 */
export function upstashPayloads(redis: UpstashRedisLike, options: RedisPayloadOptions = {}): PayloadStore {
  return redisPayloadStore(upstashExecutor(redis), options);
}
