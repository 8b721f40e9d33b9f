import {
  allKeys,
  type Args1,
  type Args2,
  type Args3,
  type CommandTable,
  everySecondKey,
  firstKey,
} from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { addLongDoubles } from "../long-double.ts";
import { INTEGER_MAX, INTEGER_MIN, parseInteger64 } from "../numbers.ts";
import { CommandError, OK, type RedisReply, syntaxError, wrongArity } from "../reply.ts";
import { EXPIRY_WORDS, toPositiveExpiryMillis } from "./expiry-options.ts";

/** Strings and counters. */
export const stringCommands: CommandTable = {
  GET: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => getString(db, key) },
  SET: { arity: -3, write: true, keys: firstKey, run: setWithOptions },
  SETNX: {
    arity: 3,
    write: true,
    keys: firstKey,
    run(db, [key, value]: Args2) {
      if (db.get(key) !== undefined) return 0;
      setString(db, key, value);
      return 1;
    },
  },
  SETEX: { arity: 4, write: true, keys: firstKey, run: (db, args: Args3) => setWithExpiry(db, "EX", "setex", args) },
  PSETEX: { arity: 4, write: true, keys: firstKey, run: (db, args: Args3) => setWithExpiry(db, "PX", "psetex", args) },
  GETSET: {
    arity: 3,
    write: true,
    keys: firstKey,
    run(db, [key, value]: Args2) {
      const previous = getString(db, key);
      setString(db, key, value);
      return previous;
    },
  },
  GETDEL: {
    arity: 2,
    write: true,
    keys: firstKey,
    run(db, [key]: Args1) {
      const previous = getString(db, key);
      db.delete(key);
      return previous;
    },
  },
  GETEX: { arity: -2, write: true, keys: firstKey, run: getAndExpire },
  MGET: {
    arity: -2,
    keys: allKeys,
    run: (db, keys) =>
      keys.map((key) => {
        const value = db.get(key);
        return value?.type === "string" ? value.bytes : null;
      }),
  },
  MSET: {
    arity: -3,
    write: true,
    keys: everySecondKey,
    run(db, pairs) {
      if (pairs.length % 2 !== 0) throw wrongArity("mset");
      for (let index = 0; index < pairs.length; index += 2) setString(db, pairs[index]!, pairs[index + 1]!);
      return OK;
    },
  },
  APPEND: {
    arity: 3,
    write: true,
    keys: firstKey,
    run(db, [key, suffix]: Args2) {
      const bytes = (getString(db, key) ?? "") + suffix;
      db.put(key, { type: "string", bytes });
      return bytes.length;
    },
  },
  STRLEN: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => getString(db, key)?.length ?? 0 },
  INCR: { arity: 2, write: true, keys: firstKey, run: (db, [key]: Args1) => increment(db, key, 1n) },
  DECR: { arity: 2, write: true, keys: firstKey, run: (db, [key]: Args1) => increment(db, key, -1n) },
  INCRBY: {
    arity: 3,
    write: true,
    keys: firstKey,
    run: (db, [key, by]: Args2) => increment(db, key, parseInteger64(by)),
  },
  DECRBY: {
    arity: 3,
    write: true,
    keys: firstKey,
    run(db, [key, by]: Args2) {
      const amount = parseInteger64(by);
      if (amount === INTEGER_MIN) throw new CommandError("ERR decrement would overflow");
      return increment(db, key, -amount);
    },
  },
  INCRBYFLOAT: {
    arity: 3,
    write: true,
    keys: firstKey,
    run(db, [key, by]: Args2) {
      const bytes = addLongDoubles(getString(db, key) ?? "0", by);
      db.put(key, { type: "string", bytes });
      return bytes;
    },
  },
};

/** Adds two 64-bit integers; throws if the sum is none. */
export function addIntegers(left: bigint, right: bigint): bigint {
  const sum = left + right;
  if (sum > INTEGER_MAX || sum < INTEGER_MIN) throw new CommandError("ERR increment or decrement would overflow");
  return sum;
}

function getString(db: Keyspace, key: string): string | null {
  return db.read(key, "string")?.bytes ?? null;
}

/** Replaces whatever the key held, its expiry time included. */
function setString(db: Keyspace, key: string, bytes: string): void {
  db.put(key, { type: "string", bytes });
  db.expireAt(key, undefined);
}

function increment(db: Keyspace, key: string, by: bigint): number {
  const sum = addIntegers(parseInteger64(getString(db, key) ?? "0"), by);
  db.put(key, { type: "string", bytes: sum.toString() });
  return Number(sum);
}

function setWithExpiry(db: Keyspace, word: string, command: string, [key, time, value]: Args3): RedisReply {
  const at = toPositiveExpiryMillis(db, word, time, command);
  db.put(key, { type: "string", bytes: value });
  db.expireAt(key, at);
  return OK;
}

function setWithOptions(db: Keyspace, [key, value, ...words]: Args2): RedisReply {
  const options = readOptions(words, new Set(["NX", "XX", "GET", "KEEPTTL"]));
  if (options.flags.has("NX") && options.flags.has("XX")) throw syntaxError();
  if (options.flags.has("KEEPTTL") && options.expiry !== undefined) throw syntaxError();
  const at = options.expiry && toPositiveExpiryMillis(db, options.expiry.word, options.expiry.time, "set");
  const previous = options.flags.has("GET") ? getString(db, key) : undefined;
  const exists = db.get(key) !== undefined;
  if ((options.flags.has("NX") && exists) || (options.flags.has("XX") && !exists)) return previous ?? null;
  db.put(key, { type: "string", bytes: value });
  if (!options.flags.has("KEEPTTL")) db.expireAt(key, at);
  return previous === undefined ? OK : previous;
}

function getAndExpire(db: Keyspace, [key, ...words]: Args1): RedisReply {
  const options = readOptions(words, new Set(["PERSIST"]));
  if (options.flags.has("PERSIST") && options.expiry !== undefined) throw syntaxError();
  const bytes = getString(db, key);
  if (bytes === null) return null;
  if (options.flags.has("PERSIST")) db.expireAt(key, undefined);
  if (options.expiry !== undefined) {
    const at = toPositiveExpiryMillis(db, options.expiry.word, options.expiry.time, "getex");
    if (at <= db.nowMillis()) db.delete(key);
    else db.expireAt(key, at);
  }
  return bytes;
}

/** Reads flags and at most one expiry time, in any order and case. */
function readOptions(
  words: readonly string[],
  known: ReadonlySet<string>,
): { readonly flags: ReadonlySet<string>; readonly expiry?: { readonly word: string; readonly time: string } } {
  const flags = new Set<string>();
  let expiry: { readonly word: string; readonly time: string } | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    const time = words[index + 1];
    if (known.has(word)) {
      flags.add(word);
    } else if (EXPIRY_WORDS.has(word) && time !== undefined && (expiry?.word ?? word) === word) {
      expiry = { word, time };
      index++;
    } else {
      throw syntaxError();
    }
  }
  return expiry === undefined ? { flags } : { flags, expiry };
}
