import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { DeadLetter } from "../../src/ports/dead-letters.ts";
import type { LogReader, Page, PageOptions, UnsettledView } from "../../src/ports/log-reader.ts";
import { texts } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import type { Keyspace, ShardKeys } from "./keys.ts";
import { decodeBody, decodeLetter, decodeMember, rangeOfKey, rangeOfTransaction, splitMember } from "./member.ts";
import { readScore } from "./score.ts";
import { readDecision } from "./transaction-log.ts";

const DEFAULT_LIMIT = 50;

/** Reads the log for people. Records that this version cannot read are left out. */
export function redisLogReader(redis: RedisExecutor, keyspace: Keyspace): LogReader {
  const records = async (keys: ShardKeys, members: readonly string[]): Promise<DeliveryRecord[]> => {
    const found: DeliveryRecord[] = [];
    for (const member of members)
      await readable(async () => found.push(decodeMember(member, await bodyOf(redis, member, 1, keys.body))));
    return found;
  };
  const letters = async (keys: ShardKeys, members: readonly string[]): Promise<DeadLetter[]> => {
    const found: DeadLetter[] = [];
    for (const member of members)
      await readable(async () => found.push(decodeLetter(member, await bodyOf(redis, member, 2, keys.deadBody))));
    return found;
  };
  const unsettled = async (keys: ShardKeys, scored: readonly string[]): Promise<UnsettledView[]> => {
    const found: UnsettledView[] = [];
    for (let i = 0; i < scored.length; i += 2) {
      const [record] = await records(keys, [scored[i]!]);
      if (record !== undefined) found.push({ record, ...readScore(Number(scored[i + 1])) });
    }
    return found;
  };
  const lexRange = async (key: string, min: string, max: string, limit: number): Promise<string[]> =>
    texts(await redis.execute(["ZRANGE", key, min, max, "BYLEX", "LIMIT", "0", String(limit)]));

  /** Walks the shards one after the other; a cursor names the shard and the last key read in it. */
  const listByKey = async <T>(
    page: PageOptions | undefined,
    collection: (keys: ShardKeys) => string,
    decode: (keys: ShardKeys, members: readonly string[]) => Promise<T[]>,
  ): Promise<Page<T>> => {
    const limit = page?.limit ?? DEFAULT_LIMIT;
    const [from, after] = readCursor(page?.cursor);
    const items: T[] = [];
    for (let shard = from; shard < keyspace.shards.length; shard++) {
      const keys = keyspace.shards[shard]!;
      const min = shard === from && after !== "" ? `(${after}\u000b` : "-";
      const members = await lexRange(collection(keys), min, "+", limit - items.length);
      items.push(...(await decode(keys, members)));
      const last = members.at(-1);
      if (last !== undefined && items.length >= limit) return { items, cursor: `${shard}:${splitMember(last, 0).key}` };
    }
    return { items };
  };

  return {
    async transaction(transactionId) {
      const keys = keyspace.of(transactionId);
      const [min, max] = rangeOfTransaction(transactionId);
      const score = await redis.execute(["ZSCORE", keys.decisions, transactionId]);
      return {
        transactionId,
        ...(score === null || score === undefined ? {} : { decision: readDecision(Number(score)) }),
        unsettled: await unsettled(keys, await scan(redis, keys.due, `${transactionId}_*`)),
        held: await records(keys, await lexRange(keys.held, min, max, 1_000)),
        dead: await letters(keys, await lexRange(keys.dead, min, max, 1_000)),
      };
    },

    async deadLetter(key) {
      const keys = keyspace.of(key.split("_")[0]!);
      return (await letters(keys, await lexRange(keys.dead, ...rangeOfKey(key), 1)))[0];
    },

    listDead: (page) => listByKey(page, (keys) => keys.dead, letters),

    listHeld: (page) => listByKey(page, (keys) => keys.held, records),

    async listUnsettled(page) {
      const limit = page?.limit ?? DEFAULT_LIMIT;
      const [from, after] = readCursor(page?.cursor);
      const items: UnsettledView[] = [];
      for (let shard = from; shard < keyspace.shards.length; shard++) {
        const keys = keyspace.shards[shard]!;
        const start = shard === from ? Number(after || 0) : 0;
        const stop = start + limit - items.length - 1;
        const scored = texts(await redis.execute(["ZRANGE", keys.due, String(start), String(stop), "WITHSCORES"]));
        items.push(...(await unsettled(keys, scored)));
        if (scored.length > 0 && items.length >= limit)
          return { items, cursor: `${shard}:${start + scored.length / 2}` };
      }
      return { items };
    },

    async counts() {
      const count = async (collection: (keys: ShardKeys) => string): Promise<number> => {
        let sum = 0;
        for (const keys of keyspace.shards) sum += Number(await redis.execute(["ZCARD", collection(keys)]));
        return sum;
      };
      return {
        unsettled: await count((keys) => keys.due),
        held: await count((keys) => keys.held),
        dead: await count((keys) => keys.dead),
        decisions: await count((keys) => keys.decisions),
      };
    },
  };
}

function readCursor(cursor: string | undefined): readonly [shard: number, after: string] {
  const match = /^(\d{1,2}):([A-Za-z0-9_-]{0,128})$/.exec(cursor ?? "0:");
  return match === null ? [0, ""] : [Number(match[1]), match[2]!];
}

/** Members and scores that match, read in turns: the set is ordered by time, so that a transaction has no range in it. */
async function scan(redis: RedisExecutor, key: string, pattern: string): Promise<string[]> {
  const found: string[] = [];
  let cursor = "0";
  do {
    const [next, page] = (await redis.execute(["ZSCAN", key, cursor, "MATCH", pattern, "COUNT", "1000"])) as [
      unknown,
      unknown,
    ];
    found.push(...texts(page));
    cursor = String(next);
  } while (cursor !== "0");
  return found;
}

async function bodyOf(
  redis: RedisExecutor,
  member: string,
  lines: number,
  keyOf: (key: string) => string,
): Promise<string | undefined> {
  const { key, body } = splitMember(member, lines);
  if (body !== undefined) return body;
  return decodeBody(await redis.execute(["GET", keyOf(key)]));
}

async function readable(read: () => Promise<unknown>): Promise<void> {
  try {
    await read();
  } catch {
    // Written by a newer release: not for this one to show.
  }
}
