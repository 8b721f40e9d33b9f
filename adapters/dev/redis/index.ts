export type { RedisBackend } from "./backend.ts";
export type { RedisBilling } from "./billing.ts";
export { fromText, toText } from "./bytes.ts";
export { createRedisEngine, type RedisEngine, type RedisEngineOptions } from "./engine.ts";
export type { RedisSnapshot } from "./keyspace.ts";
export { PackageMissingError } from "./package-missing.ts";
export {
  isRedisArray,
  isRedisError,
  isRedisStatus,
  OK,
  type RedisError,
  type RedisReply,
  type RedisStatus,
} from "./reply.ts";
export { createRedisRest, type RedisRestHandler, type RedisRestOptions } from "./rest/endpoint.ts";
export { connectRedisServer, type RedisServerBackend, type RedisServerOptions } from "./server/connect.ts";
