import {
  type Args1,
  type Args2,
  type Args3,
  type Args4,
  type Command,
  type CommandTable,
  firstKey,
  firstTwoKeys,
} from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { formatScore, parseInteger } from "../numbers.ts";
import { CommandError, syntaxError } from "../reply.ts";
import { createSortedSet, type ScoredMember, type SortedSet } from "../sorted-set.ts";
import { readLexRange, readRankRange, readScoreRange, type SortedSetRange } from "./sorted-set-range.ts";

/** Sorted sets: what only reads them, and ZRANGESTORE. */
export const sortedSetQueries: CommandTable = {
  ZSCORE: {
    arity: 3,
    keys: firstKey,
    run: (db, [key, member]: Args2) => printedScore(db.read(key, "zset")?.members, member),
  },
  ZMSCORE: {
    arity: -3,
    keys: firstKey,
    run(db, [key, ...names]: Args1) {
      const members = db.read(key, "zset")?.members;
      return names.map((name) => printedScore(members, name));
    },
  },
  ZCARD: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => db.read(key, "zset")?.members.size ?? 0 },
  ZCOUNT: counting(readScoreRange),
  ZLEXCOUNT: counting(readLexRange),
  ZRANK: {
    arity: 3,
    keys: firstKey,
    run: (db, [key, member]: Args2) => db.read(key, "zset")?.members.rank(member) ?? null,
  },
  ZREVRANK: {
    arity: 3,
    keys: firstKey,
    run(db, [key, member]: Args2) {
      const members = db.read(key, "zset")?.members;
      const rank = members?.rank(member);
      return members === undefined || rank === undefined ? null : members.size - 1 - rank;
    },
  },
  ZRANGE: ranging({}),
  ZREVRANGE: ranging({ by: "rank", reversed: true }),
  ZRANGEBYSCORE: ranging({ by: "score", reversed: false }),
  ZREVRANGEBYSCORE: ranging({ by: "score", reversed: true }),
  ZRANGEBYLEX: ranging({ by: "lex", reversed: false }),
  ZREVRANGEBYLEX: ranging({ by: "lex", reversed: true }),
  ZRANGESTORE: {
    arity: -5,
    write: true,
    keys: firstTwoKeys,
    run(db, [destination, key, min, max, ...words]: Args4) {
      const query = readQuery({}, min, max, words, false);
      const found = query.find(db, key);
      db.delete(destination);
      if (found.length > 0) db.put(destination, { type: "zset", members: createSortedSet(found) });
      return found.length;
    },
  },
};

/** Lists members, each followed by its score if asked for. */
export function printMembers(found: readonly ScoredMember[], withScores: boolean): string[] {
  return withScores
    ? found.flatMap(({ member, score }) => [member, formatScore(score)])
    : found.map(({ member }) => member);
}

function printedScore(members: SortedSet | undefined, member: string): string | null {
  const score = members?.score(member);
  return score === undefined ? null : formatScore(score);
}

function counting(readRange: (min: string, max: string) => SortedSetRange): Command {
  return {
    arity: 4,
    keys: firstKey,
    run(db, [key, min, max]: Args3) {
      const range = readRange(min, max);
      const members = db.read(key, "zset")?.members;
      if (members === undefined) return 0;
      const [from, to] = range(members);
      return to - from;
    },
  };
}

/** What a command's name settles; ZRANGE leaves both to its options. */
interface RangeKind {
  readonly by?: "rank" | "score" | "lex";
  readonly reversed?: boolean;
}

interface RangeQuery {
  readonly withScores: boolean;
  find(db: Keyspace, key: string): ScoredMember[];
}

function ranging(kind: RangeKind): Command {
  return {
    arity: -4,
    keys: firstKey,
    run(db, [key, min, max, ...words]: Args3) {
      const query = readQuery(kind, min, max, words, true);
      return printMembers(query.find(db, key), query.withScores);
    },
  };
}

function readQuery(kind: RangeKind, min: string, max: string, words: readonly string[], printed: boolean): RangeQuery {
  let { by, reversed } = kind;
  let withScores = false;
  let limit: { readonly offset: number; readonly count: number } | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    if (word === "WITHSCORES" && printed) withScores = true;
    else if (word === "LIMIT" && index + 2 < words.length) {
      limit = { offset: parseInteger(words[++index]!), count: parseInteger(words[++index]!) };
    } else if (word === "REV" && kind.by === undefined) reversed = true;
    else if (word === "BYSCORE" && by === undefined) by = "score";
    else if (word === "BYLEX" && by === undefined) by = "lex";
    else throw syntaxError();
  }
  checkCombination(by ?? "rank", withScores, limit?.count);
  const range = readRange(by ?? "rank", min, max, reversed ?? false);
  return {
    withScores,
    find(db, key) {
      const members = db.read(key, "zset")?.members;
      if (members === undefined) return [];
      const [from, to] = limited(range(members), limit, reversed ?? false);
      const found = members.slice(from, to);
      return reversed ? found.reverse() : found;
    },
  };
}

function checkCombination(by: "rank" | "score" | "lex", withScores: boolean, count: number | undefined): void {
  if (by === "rank" && count !== undefined && count !== -1) {
    throw new CommandError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
  }
  if (by === "lex" && withScores) {
    throw new CommandError("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
  }
}

/** Reads the two bounds, which a reversed range of scores or members gives highest first. */
function readRange(by: "rank" | "score" | "lex", first: string, second: string, reversed: boolean): SortedSetRange {
  if (by === "rank") return readRankRange(first, second, reversed);
  const [min, max] = reversed ? [second, first] : [first, second];
  return by === "score" ? readScoreRange(min, max) : readLexRange(min, max);
}

/** Skips `offset` and keeps `count` positions, from the end that is listed first. A negative count keeps all. */
function limited(
  [from, to]: readonly [number, number],
  limit: { readonly offset: number; readonly count: number } | undefined,
  reversed: boolean,
): readonly [number, number] {
  if (limit === undefined) return [from, to];
  if (limit.offset < 0) return [from, from];
  const count = limit.count < 0 ? Infinity : limit.count;
  if (!reversed) return [from + limit.offset, Math.min(to, from + limit.offset + count)];
  return [Math.max(from, to - limit.offset - count), to - limit.offset];
}
