import { madeAt } from "../../src/model/ids.ts";
import type { LogStore } from "../../src/ports/log-store.ts";
import { redisDeadLetters } from "./dead-letters.ts";
import { evalCommand, texts } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import { redisInbox } from "./inbox.ts";
import { keyspace as layOut } from "./keys.ts";
import type { RedisStoreOptions } from "./keys.ts";
import { redisLogReader } from "./log-reader.ts";
import { TRIM } from "./scripts.ts";
import { redisTransactionLog } from "./transaction-log.ts";

/** The log and the inbox on a Redis, through any client that can run a command. */
export function redisStore(redis: RedisExecutor, options: RedisStoreOptions = {}): LogStore {
  const keyspace = layOut(options);
  return {
    transactions: redisTransactionLog(redis, keyspace),
    deadLetters: redisDeadLetters(redis, keyspace, Date.now),
    reader: redisLogReader(redis, keyspace),
    inbox: redisInbox(redis, keyspace),
    shardOf: keyspace.shardOf,
    async cleanUp({ now, retentionMillis }) {
      for (const keys of keyspace.shards) {
        const [oldest = ""] = texts(await redis.execute(["ZRANGE", keys.held, "-", "+", "BYLEX", "LIMIT", "0", "1"]));
        const cutoff = Math.min(now - retentionMillis, madeAt(oldest) ?? now);
        if (cutoff <= 1) continue;
        await redis.execute(evalCommand(TRIM, [keys.decisions], ["1", String(cutoff)]));
        await redis.execute(evalCommand(TRIM, [keys.decisions], [String(-cutoff), "-1"]));
        await redis.execute(evalCommand(TRIM, [keys.left], ["1", String(cutoff)]));
      }
    },
  };
}
