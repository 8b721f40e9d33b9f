export { redis, redisExecutor } from "./clients.ts";
export type { IoRedisLike, NodeRedisClusterLike, NodeRedisLike, RedisClientLike } from "./clients.ts";
export type { RedisExecutor } from "./executor.ts";
export type { RedisStoreOptions } from "./keys.ts";
export { redisPayloads, redisPayloadStore } from "./payload-store.ts";
export type { RedisPayloadOptions } from "./payload-store.ts";
export { redisStore } from "./store.ts";
