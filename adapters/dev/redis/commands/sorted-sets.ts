import { type Args1, type Args3, type Command, type CommandTable, firstKey } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { formatScore, parseCount, parseScore } from "../numbers.ts";
import { CommandError, type RedisReply, syntaxError } from "../reply.ts";
import { createSortedSet, type SortedSet } from "../sorted-set.ts";
import { printMembers } from "./sorted-set-queries.ts";
import { readLexRange, readRankRange, readScoreRange, type SortedSetRange } from "./sorted-set-range.ts";

/** Sorted sets: what changes them. */
export const sortedSetCommands: CommandTable = {
  ZADD: {
    arity: -4,
    write: true,
    keys: firstKey,
    run(db, [key, ...words]: Args1) {
      const { flags, rest } = takeFlags(words);
      return add(db, key, flags, rest);
    },
  },
  ZINCRBY: {
    arity: 4,
    write: true,
    keys: firstKey,
    run: (db, [key, by, member]: Args3) => add(db, key, new Set(["INCR"]), [by, member]),
  },
  ZREM: {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...removed]: Args1) {
      const members = db.read(key, "zset")?.members;
      const count = removed.filter((member) => members?.delete(member)).length;
      db.dropIfEmpty(key);
      return count;
    },
  },
  ZREMRANGEBYSCORE: removing(readScoreRange),
  ZREMRANGEBYLEX: removing(readLexRange),
  ZREMRANGEBYRANK: removing((start, stop) => readRankRange(start, stop, false)),
  ZPOPMIN: popping((members, count) => members.slice(0, count)),
  ZPOPMAX: popping((members, count) => members.slice(Math.max(0, members.size - count), members.size).reverse()),
};

const FLAG = /^(?:NX|XX|GT|LT|CH|INCR)$/i;

function takeFlags(words: readonly string[]): {
  readonly flags: ReadonlySet<string>;
  readonly rest: readonly string[];
} {
  const end = words.findIndex((word) => !FLAG.test(word));
  const count = end < 0 ? words.length : end;
  return { flags: new Set(words.slice(0, count).map((word) => word.toUpperCase())), rest: words.slice(count) };
}

/** Adds or moves members; the outcome of an increment is its new score, or nil if a flag forbade it. */
function add(db: Keyspace, key: string, flags: ReadonlySet<string>, pairs: readonly string[]): RedisReply {
  if (pairs.length === 0 || pairs.length % 2 !== 0) throw syntaxError();
  checkFlags(flags, pairs.length / 2);
  const given: { readonly member: string; readonly score: number }[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    given.push({ score: parseScore(pairs[index]!), member: pairs[index + 1]! });
  }
  const present = db.read(key, "zset")?.members;
  if (present === undefined && flags.has("XX")) return flags.has("INCR") ? null : 0;
  const members = present ?? createSortedSet();
  let added = 0;
  let updated = 0;
  let incremented: number | null = null;
  for (const { member, score } of given) {
    const current = members.score(member);
    const next = toScore(flags, current, score);
    if (next === undefined) continue;
    incremented = next;
    if (current === undefined) added++;
    else if (current !== next) updated++;
    members.set(member, next);
  }
  if (present === undefined && members.size > 0) db.put(key, { type: "zset", members });
  if (flags.has("INCR")) return incremented === null ? null : formatScore(incremented);
  return flags.has("CH") ? added + updated : added;
}

function checkFlags(flags: ReadonlySet<string>, count: number): void {
  const has = (flag: string): boolean => flags.has(flag);
  if (has("NX") && has("XX")) {
    throw new CommandError("ERR XX and NX options at the same time are not compatible");
  }
  if ((has("GT") && has("NX")) || (has("LT") && has("NX")) || (has("GT") && has("LT"))) {
    throw new CommandError("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (has("INCR") && count > 1) {
    throw new CommandError("ERR INCR option supports a single increment-element pair");
  }
}

/** Returns the score to store, or `undefined` if a flag forbids the change. */
function toScore(flags: ReadonlySet<string>, current: number | undefined, given: number): number | undefined {
  // Adding zero turns -0 into 0.
  if (current === undefined) return flags.has("XX") ? undefined : given + 0;
  if (flags.has("NX")) return undefined;
  const next = flags.has("INCR") ? current + given : given + 0;
  if (Number.isNaN(next)) throw new CommandError("ERR resulting score is not a number (NaN)");
  if ((flags.has("GT") && next <= current) || (flags.has("LT") && next >= current)) return undefined;
  return next;
}

function removing(readRange: (min: string, max: string) => SortedSetRange): Command {
  return {
    arity: 4,
    write: true,
    keys: firstKey,
    run(db, [key, min, max]: Args3) {
      const range = readRange(min, max);
      const members = db.read(key, "zset")?.members;
      if (members === undefined) return 0;
      const removed = members.slice(...range(members));
      for (const { member } of removed) members.delete(member);
      db.dropIfEmpty(key);
      return removed.length;
    },
  };
}

function popping(pick: (members: SortedSet, count: number) => { member: string; score: number }[]): Command {
  return {
    arity: -2,
    write: true,
    keys: firstKey,
    run(db, [key, countText, ...rest]: Args1) {
      if (rest.length > 0) throw syntaxError();
      const count = countText === undefined ? 1 : parseCount(countText);
      const members = db.read(key, "zset")?.members;
      if (members === undefined) return [];
      const popped = pick(members, count);
      for (const { member } of popped) members.delete(member);
      db.dropIfEmpty(key);
      return printMembers(popped, true);
    },
  };
}
