import type { LogStore } from "../../src/ports/log-store.ts";
import type { RedisStoreOptions } from "../redis/keys.ts";
import { redisStore } from "../redis/store.ts";
import { upstashExecutor } from "./executor.ts";
import type { UpstashRedisLike } from "./executor.ts";

export type { RedisStoreOptions } from "../redis/keys.ts";
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
