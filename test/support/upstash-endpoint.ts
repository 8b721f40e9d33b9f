import { Redis } from "@upstash/redis";
import { listenOnLoopback } from "../../adapters/dev/loopback-server.ts";
import {
  createRedisRest,
  fromText,
  isRedisArray,
  isRedisError,
  isRedisStatus,
  toText,
} from "../../adapters/dev/redis/index.ts";
import type { RedisBackend, RedisReply } from "../../adapters/dev/redis/index.ts";
import type { RedisExecutor } from "../../adapters/redis/index.ts";

/** A backend behind the REST protocol of Upstash, over real HTTP. */
export interface UpstashEndpoint {
  /** The SDK's own client, as users make it. */
  readonly client: Redis;
  close(): Promise<void>;
}

/** Serves a backend on this machine. */
export async function serveUpstash(backend: RedisBackend): Promise<UpstashEndpoint> {
  const token = "a-token-for-tests";
  const server = await listenOnLoopback(createRedisRest({ backend, token }));
  const client = new Redis({ url: server.url, token, enableTelemetry: false });
  return { client, close: () => server.close() };
}

/** Runs commands on a backend directly, without a server or a client in between. */
export function backendExecutor(backend: RedisBackend): RedisExecutor {
  return { execute: async (command) => plain(await backend.execute(command.map(fromText))) };
}

function plain(reply: RedisReply): unknown {
  if (typeof reply === "string") return toText(reply);
  if (typeof reply !== "object" || reply === null) return reply;
  if (isRedisArray(reply)) return reply.map(plain);
  if (isRedisError(reply)) throw new Error(reply.error);
  return isRedisStatus(reply) ? reply.status : reply;
}
