import { evalCommand } from "../../adapters/redis/executor.ts";
import type { RedisExecutor } from "../../adapters/redis/executor.ts";
import { keyspace } from "../../adapters/redis/keys.ts";
import type { RedisStoreOptions } from "../../adapters/redis/keys.ts";
import type { LogStore } from "../../src/ports/log-store.ts";
import type { StoreUnderTest } from "../../src/testing/index.ts";

/** What a store under test is made of. */
export interface RedisUnderTest {
  /** The store as users make it. */
  readonly store: (options: RedisStoreOptions) => LogStore;
  /** Runs commands on the same Redis, past the store. */
  readonly admin: RedisExecutor;
  readonly advance: (millis: number) => Promise<void>;
  readonly shards?: number;
}

let namespaces = 0;

/** A store with a namespace of its own on a Redis that tests share. */
export async function redisStoreUnderTest(redis: RedisUnderTest): Promise<StoreUnderTest> {
  const options: RedisStoreOptions = { namespace: `test-${++namespaces}`, shards: redis.shards ?? 1 };
  const { shards } = keyspace(options);
  const keysOfShards = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const { due } of shards) {
      const prefix = due.slice(0, -"due".length);
      // KEYS inside a script with a key of the shard goes to the right node of a cluster.
      const list = evalCommand(`return redis.call('KEYS', ARGV[1])`, [due], [`${prefix}*`]);
      found.push(...((await redis.admin.execute(list)) as string[]));
    }
    return found;
  };
  return {
    store: redis.store(options),
    advance: redis.advance,
    async plant(raw) {
      await redis.admin.execute(["ZADD", shards[0]!.due, "0", raw]);
    },
    async leftovers() {
      return (await keysOfShards()).filter((key) => !/\}:(dec|left|in:.*)$/s.test(key));
    },
    async dispose() {
      for (const key of await keysOfShards()) await redis.admin.execute(["UNLINK", key]);
    },
  };
}

/** Really waits: the clock of a real server is nobody's to move. */
export function wait(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}
