import { type Args1, type Args2, type Args3, type Command, type CommandTable, firstKey } from "../command.ts";
import { parseCount, parseInteger } from "../numbers.ts";
import { OK, wrongArity } from "../reply.ts";

/** Lists. */
export const listCommands: CommandTable = {
  LPUSH: pushing((items, pushed) => items.unshift(...pushed.reverse())),
  RPUSH: pushing((items, pushed) => items.push(...pushed)),
  LPOP: popping("lpop", (items, count) => items.splice(0, count)),
  RPOP: popping("rpop", (items, count) => items.splice(Math.max(0, items.length - count)).reverse()),
  LLEN: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => db.read(key, "list")?.items.length ?? 0 },
  LINDEX: {
    arity: 3,
    keys: firstKey,
    run(db, [key, index]: Args2) {
      const items = db.read(key, "list")?.items;
      return items?.at(parseInteger(index)) ?? null;
    },
  },
  LRANGE: {
    arity: 4,
    keys: firstKey,
    run(db, [key, start, stop]: Args3) {
      const [first, last] = [parseInteger(start), parseInteger(stop)];
      const items = db.read(key, "list")?.items ?? [];
      return items.slice(...toSpan(first, last, items.length));
    },
  },
  LTRIM: {
    arity: 4,
    write: true,
    keys: firstKey,
    run(db, [key, start, stop]: Args3) {
      const [first, last] = [parseInteger(start), parseInteger(stop)];
      const items = db.read(key, "list")?.items;
      if (items === undefined) return OK;
      const [from, to] = toSpan(first, last, items.length);
      items.splice(to);
      items.splice(0, from);
      db.dropIfEmpty(key);
      return OK;
    },
  },
  LREM: {
    arity: 4,
    write: true,
    keys: firstKey,
    run(db, [key, countText, value]: Args3) {
      const count = parseInteger(countText);
      const items = db.read(key, "list")?.items ?? [];
      const limit = count === 0 ? Infinity : Math.abs(count);
      const matches = items.flatMap((item, index) => (item === value ? [index] : []));
      const removed = new Set(count < 0 ? matches.reverse().slice(0, limit) : matches.slice(0, limit));
      const kept = items.filter((_, index) => !removed.has(index));
      if (removed.size > 0) db.put(key, { type: "list", items: kept });
      db.dropIfEmpty(key);
      return removed.size;
    },
  },
};

/** Converts inclusive indexes, which may count from the end, to a half-open span within `length`. */
export function toSpan(first: number, last: number, length: number): readonly [from: number, to: number] {
  const from = Math.max(0, first < 0 ? first + length : first);
  const to = Math.min(length, (last < 0 ? last + length : last) + 1);
  return from < to ? [from, to] : [0, 0];
}

function pushing(push: (items: string[], pushed: string[]) => void): Command {
  return {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...pushed]: Args1) {
      const { items } = db.readOrCreate(key, "list", () => ({ type: "list", items: [] }));
      push(items, pushed);
      return items.length;
    },
  };
}

function popping(command: string, take: (items: string[], count: number) => string[]): Command {
  return {
    arity: -2,
    write: true,
    keys: firstKey,
    run(db, [key, countText, ...rest]: Args1) {
      if (rest.length > 0) throw wrongArity(command);
      const count = countText === undefined ? undefined : parseCount(countText);
      const items = db.read(key, "list")?.items;
      if (items === undefined) return null;
      const taken = take(items, count ?? 1);
      db.dropIfEmpty(key);
      return count === undefined ? (taken[0] ?? null) : taken;
    },
  };
}
