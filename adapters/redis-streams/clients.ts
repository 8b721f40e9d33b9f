import { redisExecutor } from "../redis/clients.ts";
import type { RedisClientLike } from "../redis/clients.ts";
import type { RedisExecutor } from "../redis/executor.ts";

/** What is used of a `Redis` of `@upstash/redis`, by shape: any version and any of its platform entries fits. */
export interface UpstashStreamsLike {
  /** `EVAL`. */
  eval(script: string, keys: string[], args: string[]): Promise<unknown>;
  /** `XREADGROUP … COUNT`. */
  xreadgroup(group: string, consumer: string, key: string, id: string, options: { count: number }): Promise<unknown>;
  /** `XPENDING … IDLE`. */
  xpending(
    key: string,
    group: string,
    start: string,
    end: string,
    count: number,
    options: { idleTime: number },
  ): Promise<unknown>;
  /** `XCLAIM`. */
  xclaim(key: string, group: string, consumer: string, minIdleTime: number, id: string): Promise<unknown>;
  /** `ZRANGE … WITHSCORES`. */
  zrange(key: string, from: never, to: never, options: never): Promise<unknown>;
}

/** A client of a Redis that streams may lie in: `@upstash/redis`, node-redis, ioredis, or anything that runs a command. */
export type StreamClient = UpstashStreamsLike | RedisClientLike | RedisExecutor;

/** Runs the commands that streams need through any of the clients. */
export function streamExecutor(client: StreamClient): RedisExecutor {
  if ("execute" in client) return client;
  if ("call" in client || "sendCommand" in client) return redisExecutor(client);
  return upstashStreamExecutor(client);
}

/** Through the client's own methods, so that its pipelining, retries and read-your-writes apply. */
function upstashStreamExecutor(redis: UpstashStreamsLike): RedisExecutor {
  const commands: Readonly<Record<string, (args: readonly string[]) => Promise<unknown>>> = {
    EVAL: ([script, count, ...rest]) => redis.eval(script!, rest.slice(0, Number(count)), rest.slice(Number(count))),
    XREADGROUP: ([_group, group, consumer, _count, count, _streams, key, id]) =>
      redis.xreadgroup(group!, consumer!, key!, id!, { count: Number(count) }),
    XPENDING: ([key, group, _idle, idle, start, end, count]) =>
      redis.xpending(key!, group!, start!, end!, Number(count), { idleTime: Number(idle) }),
    XCLAIM: ([key, group, consumer, idle, id]) => redis.xclaim(key!, group!, consumer!, Number(idle), id!),
    ZRANGE: ([key, from, to]) =>
      redis.zrange(key!, Number(from) as never, Number(to) as never, { withScores: true } as never),
  };
  return {
    execute([name, ...args]) {
      const run = commands[name!];
      if (run === undefined)
        throw new TypeError(`Expected one of ${Object.keys(commands).join(", ")}, found "${name}".`);
      return run(args);
    },
  };
}
