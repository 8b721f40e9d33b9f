import type { LogStore } from "../../src/ports/log-store.ts";
import { redisDeadLetters } from "./dead-letters.ts";
import { evalCommand } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import { redisInbox } from "./inbox.ts";
import { keyspace as layOut } from "./keys.ts";
import type { RedisStoreOptions } from "./keys.ts";
import { redisLogReader } from "./log-reader.ts";
import { TRIM, TRIM_DECISIONS } from "./scripts.ts";
import { redisTransactionLog } from "./transaction-log.ts";

/** Cleaning up looks through all unsettled records, payloads and all; a backlog of more than so many is worked off first. */
const MOST_RECORDS_TO_CLEAN_UP_BESIDE = 10_000;

/** The mark outlives every deployment. */
const MARK_LIFE_MILLIS = String(100 * 365 * 86_400_000);

/** The log and the inbox on a Redis, through any client that can run a command. */
export function redisStore(redis: RedisExecutor, options: RedisStoreOptions = {}): LogStore {
  const keyspace = layOut(options);
  return {
    transactions: redisTransactionLog(redis, keyspace),
    deadLetters: redisDeadLetters(redis, keyspace),
    reader: redisLogReader(redis, keyspace),
    inbox: redisInbox(redis, keyspace),
    shardOf: keyspace.shardOf,
    async mark(fresh) {
      const { mark } = keyspace.shards[0]!;
      const found = await redis.execute(["SET", mark, fresh, "NX", "GET", "PX", MARK_LIFE_MILLIS]);
      return typeof found === "string" ? found : fresh;
    },
    async cleanUp({ now, retentionMillis }) {
      const cutoff = Math.floor(now - retentionMillis);
      if (cutoff < 1) return;
      for (const keys of keyspace.shards) {
        await redis.execute(evalCommand(TRIM, [keys.left], ["1", String(cutoff)]));
        if (Number(await redis.execute(["ZCARD", keys.due])) > MOST_RECORDS_TO_CLEAN_UP_BESIDE) continue;
        const sets = [keys.decisions, keys.due, keys.held];
        await redis.execute(evalCommand(TRIM_DECISIONS, sets, ["1", String(cutoff)]));
        await redis.execute(evalCommand(TRIM_DECISIONS, sets, [String(-cutoff), "-1"]));
      }
    },
  };
}
