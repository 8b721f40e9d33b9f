import type { RedisExecutor } from "../redis/executor.ts";

/** What is used of a `Redis` of `@upstash/redis`, by shape: any version and any of its platform entries fits. */
export interface UpstashRedisLike {
  /** `EVAL`. */
  eval(script: string, keys: string[], args: string[]): Promise<unknown>;
  /** `GET`. */
  get(key: string): Promise<unknown>;
  /** `MGET`. */
  mget(...keys: string[]): Promise<unknown>;
  /** `SET … PX`, with `NX GET` or without. */
  set(key: string, value: string, options: { nx: true; get: true; px: number } | { px: number }): Promise<unknown>;
  /** `UNLINK`. */
  unlink(key: string): Promise<unknown>;
  /** `ZADD` with `NX` or `XX`. */
  zadd(
    key: string,
    options: { nx: true } | { xx: true },
    ...members: [ScoredMember, ...ScoredMember[]]
  ): Promise<unknown>;
  /** `ZCARD`. */
  zcard(key: string): Promise<unknown>;
  /** `ZMSCORE`. */
  zmscore(key: string, members: string[]): Promise<unknown>;
  /** `ZRANGE`, with whichever of its options. */
  zrange(key: string, from: never, to: never, options: never): Promise<unknown>;
  /** `ZREM`. */
  zrem(key: string, ...members: string[]): Promise<unknown>;
  /** `ZSCAN … MATCH … COUNT`. */
  zscan(key: string, cursor: string, options: { match: string; count: number }): Promise<unknown>;
  /** `ZSCORE`. */
  zscore(key: string, member: string): Promise<unknown>;
}

/** A member of a sorted set, with its score. */
export interface ScoredMember {
  /** By which the set is ordered. */
  readonly score: number;
  /** The member. */
  readonly member: string;
}

/** Runs the commands that the log and the inbox consist of through the client's own methods, so that its pipelining, retries and read-your-writes apply. */
export function upstashExecutor(redis: UpstashRedisLike): RedisExecutor {
  const commands: Readonly<Record<string, (args: readonly string[]) => Promise<unknown>>> = {
    EVAL: ([script, count, ...rest]) => redis.eval(script!, rest.slice(0, Number(count)), rest.slice(Number(count))),
    GET: ([key]) => redis.get(key!),
    MGET: (keys) => redis.mget(...keys),
    SET: ([key, value, ...flags]) => {
      const px = Number(flags.at(-1));
      return redis.set(key!, value!, flags[0] === "NX" ? { nx: true, get: true, px } : { px });
    },
    UNLINK: ([key]) => redis.unlink(key!),
    ZADD: ([key, condition, ...pairs]) =>
      redis.zadd(
        key!,
        condition === "NX" ? { nx: true } : { xx: true },
        ...(scored(pairs) as [ScoredMember, ...ScoredMember[]]),
      ),
    ZCARD: ([key]) => redis.zcard(key!),
    ZMSCORE: ([key, ...members]) => redis.zmscore(key!, members),
    ZRANGE: ([key, from, to, ...flags]) =>
      redis.zrange(key!, bound(from!, flags), bound(to!, flags), rangeOptions(flags) as never),
    ZREM: ([key, ...members]) => redis.zrem(key!, ...members),
    ZSCAN: ([key, cursor, _match, match, _count, count]) =>
      redis.zscan(key!, cursor!, { match: match!, count: Number(count) }),
    ZSCORE: ([key, member]) => redis.zscore(key!, member!),
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

function scored(pairs: readonly string[]): ScoredMember[] {
  const found: ScoredMember[] = [];
  for (let i = 0; i < pairs.length; i += 2) found.push({ score: Number(pairs[i]), member: pairs[i + 1]! });
  return found;
}

/** The client takes ranks and scores as numbers, and the open bounds as text. */
function bound(text: string, flags: readonly string[]): never {
  return (flags.includes("BYLEX") || /inf/.test(text) ? text : Number(text)) as never;
}

function rangeOptions(flags: readonly string[]): Record<string, unknown> {
  const limit = flags.indexOf("LIMIT");
  return {
    ...(flags.includes("BYSCORE") ? { byScore: true } : {}),
    ...(flags.includes("BYLEX") ? { byLex: true } : {}),
    ...(flags.includes("WITHSCORES") ? { withScores: true } : {}),
    ...(limit < 0 ? {} : { offset: Number(flags[limit + 1]), count: Number(flags[limit + 2]) }),
  };
}
