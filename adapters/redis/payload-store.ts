import type { PayloadStore } from "../../src/ports/payload-store.ts";
import { redisExecutor } from "./clients.ts";
import type { RedisClientLike } from "./clients.ts";
import type { RedisExecutor } from "./executor.ts";
import { keyspace } from "./keys.ts";
import type { RedisStoreOptions } from "./keys.ts";
import { decodeText, encodeText } from "./member.ts";

/** How payloads lie in Redis. */
export type RedisPayloadOptions = Pick<RedisStoreOptions, "namespace">;

/**
 * A payload store on a Redis that any client can run commands on: a string for each payload, with its time to live. On a
 * cluster they are spread over all nodes.
 */
export function redisPayloadStore(redis: RedisExecutor, options: RedisPayloadOptions = {}): PayloadStore {
  const { payload } = keyspace(options);
  return {
    async put(key, text, keepMillis) {
      await redis.execute(["SET", payload(key), encodeText(text), "PX", String(Math.max(1, Math.ceil(keepMillis)))]);
    },
    async get(key) {
      return decodeText(await redis.execute(["GET", payload(key)]));
    },
    async delete(key) {
      await redis.execute(["UNLINK", payload(key)]);
    },
  };
}

/**
 * A payload store on a Redis reached over TCP. It is read and written as the log is, and may be the same Redis; as memory
 * is dear, another store may suit payloads better.
 *
 * @example
 * ```ts
 * payloads: payloads({ claimCheck: { store: redisPayloads(client) } }),
 * ```
 */
export function redisPayloads(client: RedisClientLike, options: RedisPayloadOptions = {}): PayloadStore {
  return redisPayloadStore(redisExecutor(client), options);
}
