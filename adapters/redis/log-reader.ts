import { UndecodableError } from "../../src/errors.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { DeadLetter } from "../../src/ports/dead-letters.ts";
import type { LogReader, Page, PageOptions, UnsettledView } from "../../src/ports/log-reader.ts";
import { isAbsent, texts } from "./executor.ts";
import type { RedisExecutor } from "./executor.ts";
import type { Keyspace, ShardKeys } from "./keys.ts";
import { decodeText, decodeLetter, decodeMember, rangeOfKey, rangeOfTransaction, splitMember } from "./member.ts";
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
  const unsettled = async (keys: ShardKeys, scored: Iterable<Scored>): Promise<UnsettledView[]> => {
    const found: UnsettledView[] = [];
    for (const [member, score] of scored) {
      const [record] = await records(keys, [member]);
      if (record !== undefined) found.push({ record, ...readScore(score) });
    }
    return found;
  };
  const lexRange = async (key: string, min: string, max: string, limit: number): Promise<string[]> =>
    texts(await redis.execute(["ZRANGE", key, min, max, "BYLEX", "LIMIT", "0", String(limit)]));

  /** Walks the shards one after the other; a cursor names a shard, and from where on to read in it. */
  const list = async <T>(
    page: PageOptions | undefined,
    read: (keys: ShardKeys, after: string | undefined, limit: number) => Promise<ShardPart<T>>,
  ): Promise<Page<T>> => {
    const [first, after] = readCursor(page?.cursor);
    const items: T[] = [];
    let left = page?.limit ?? DEFAULT_LIMIT;
    for (let shard = first; shard < keyspace.shards.length; shard++) {
      const part = await read(keyspace.shards[shard]!, shard === first ? after : undefined, left);
      items.push(...part.items);
      left -= part.taken;
      if (part.more) return { items, cursor: writeCursor(shard, part.last) };
    }
    return { items };
  };

  /** A list ordered by key. */
  const listByKey = <T>(
    page: PageOptions | undefined,
    collection: (keys: ShardKeys) => string,
    decode: (keys: ShardKeys, members: readonly string[]) => Promise<T[]>,
  ): Promise<Page<T>> =>
    list(page, async (keys, after, limit) => {
      const members = await lexRange(collection(keys), after === undefined ? "-" : `(${after}\u000b`, "+", limit + 1);
      const taken = members.slice(0, limit);
      const last = taken.at(-1)?.split("\n")[0];
      return { items: await decode(keys, taken), taken: taken.length, last, more: members.length > limit };
    });

  return {
    async transaction(transactionId) {
      const keys = keyspace.of(transactionId);
      const [min, max] = rangeOfTransaction(transactionId);
      const score = await redis.execute(["ZSCORE", keys.decisions, transactionId]);
      return {
        transactionId,
        ...(isAbsent(score) ? {} : { decision: readDecision(Number(score)) }),
        unsettled: await unsettled(keys, await scan(redis, keys.due, `${transactionId}_`)),
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

    listUnsettled: (page) =>
      list(page, async (keys, after, limit) => {
        const start = Number(after ?? 0) || 0;
        const range = [String(start), String(start + limit)];
        const scored = scoredTexts(await redis.execute(["ZRANGE", keys.due, ...range, "WITHSCORES"]));
        const taken = scored.slice(0, limit);
        const last = String(start + taken.length);
        return { items: await unsettled(keys, taken), taken: taken.length, last, more: scored.length > limit };
      }),

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

/** What one shard gives to a page. */
interface ShardPart<T> {
  readonly items: readonly T[];
  /** How many were read for it, those that this version cannot read included. */
  readonly taken: number;
  /** Its last place; absent where nothing was asked for. */
  readonly last: string | undefined;
  /** Whether there is more in this shard: one more than asked for was looked at. */
  readonly more: boolean;
}

/** A shard, and the place in it after which the next page goes on; without a place, at its beginning. */
function writeCursor(shard: number, last: string | undefined): string {
  return last === undefined ? String(shard) : `${shard}:${encodeURIComponent(last)}`;
}

/** The beginning where the text is no cursor of ours. */
function readCursor(cursor: string | undefined): readonly [shard: number, after: string | undefined] {
  const match = /^(\d{1,2})(?::((?:[\w.!~*'()-]|%[0-7][0-9A-F]){0,512}))?$/.exec(cursor ?? "");
  if (match === null) return [0, undefined];
  return [Number(match[1]), match[2] === undefined ? undefined : decodeURIComponent(match[2])];
}

type Scored = readonly [member: string, score: number];

/** Members with their scores, from the flat reply of RESP 2 or the pairs of RESP 3. */
function scoredTexts(reply: unknown): Scored[] {
  const flat = texts(Array.isArray(reply) ? reply.flat() : reply);
  const found: Scored[] = [];
  for (let i = 0; i < flat.length; i += 2) found.push([flat[i]!, Number(flat[i + 1])]);
  return found;
}

/**
 * Members that begin with `prefix` and their scores, read in turns: the set is ordered by time, so that a transaction has
 * no range in it. A turn may tell again what an earlier one told, and they come in no order: here in that of the set.
 */
async function scan(redis: RedisExecutor, key: string, prefix: string): Promise<readonly Scored[]> {
  const found = new Map<string, number>();
  const pattern = `${prefix.replace(/[\\*?[\]^]/g, "\\$&")}*`;
  let cursor = "0";
  do {
    const [next, page] = (await redis.execute(["ZSCAN", key, cursor, "MATCH", pattern, "COUNT", "1000"])) as [
      unknown,
      unknown,
    ];
    for (const [member, score] of scoredTexts(page)) found.set(member, score);
    cursor = String(next);
  } while (cursor !== "0");
  return [...found].sort(([a, scoreOfA], [b, scoreOfB]) => scoreOfA - scoreOfB || (a < b ? -1 : 1));
}

async function bodyOf(
  redis: RedisExecutor,
  member: string,
  lines: number,
  keyOf: (key: string) => string,
): Promise<string | undefined> {
  const parts = splitMember(member, lines);
  return "body" in parts ? parts.body : decodeText(await redis.execute(["GET", keyOf(parts.bodyId)]));
}

async function readable(read: () => Promise<unknown>): Promise<void> {
  try {
    await read();
  } catch (error) {
    // Written by a newer release: not for this one to show.
    if (!(error instanceof UndecodableError)) throw error;
  }
}
