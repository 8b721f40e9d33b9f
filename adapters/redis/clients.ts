import type { LogStore } from "../../src/ports/log-store.ts";
import type { RedisExecutor } from "./executor.ts";
import type { RedisStoreOptions } from "./keys.ts";
import { redisStore } from "./store.ts";

/** A client of the `redis` package (node-redis), connected. */
export interface NodeRedisLike {
  /** Sends one command, and resolves to its reply. */
  sendCommand(command: string[]): Promise<unknown>;
}

/** A cluster client of the `redis` package, connected: it wants to know a key to find the node by. */
export interface NodeRedisClusterLike {
  /** Sends one command to the node of a key, and resolves to its reply. */
  sendCommand(key: string | undefined, isReadonly: boolean | undefined, command: string[]): Promise<unknown>;
  /** What tells a cluster client from another. */
  readonly slots: unknown;
}

/** A client of the `ioredis` package, or its cluster client. */
export interface IoRedisLike {
  /** Sends one command, and resolves to its reply. */
  call(command: string, ...args: string[]): Promise<unknown>;
}

/** Any of the TCP clients that people have. */
export type RedisClientLike = NodeRedisLike | NodeRedisClusterLike | IoRedisLike;

/**
 * The log and the inbox on a Redis reached over TCP: Redis 7 or newer, Valkey, or a cluster of them.
 *
 * The client is yours: connect it, listen to its errors, close it. Half messages are as durable as that Redis is:
 * `appendonly yes` with `appendfsync always` loses nothing that was acknowledged, `everysec` up to about two seconds.
 *
 * @example
 * ```ts
 * const client = await createClient({ url: "redis://127.0.0.1:6379" }).connect();
 * const ac = aftercommit({ log: redis(client), … });
 * ```
 */
export function redis(client: RedisClientLike, options: RedisStoreOptions = {}): LogStore {
  return redisStore(redisExecutor(client), options);
}

/** Runs commands through any of the TCP clients. */
export function redisExecutor(client: RedisClientLike): RedisExecutor {
  if ("call" in client) return { execute: ([name, ...args]) => client.call(name!, ...args) };
  if ("slots" in client) return { execute: (command) => client.sendCommand(firstKey(command), false, [...command]) };
  return { execute: (command) => client.sendCommand([...command]) };
}

/** All keys of a command share one hash tag, so that the first one finds the node. */
function firstKey(command: readonly string[]): string | undefined {
  if (command[0] === "XREADGROUP") return command[command.indexOf("STREAMS") + 1];
  return command[0] === "EVAL" ? command[3] : command[1];
}
