import {
  allKeys,
  type Args1,
  type Args2,
  type Command,
  type CommandTable,
  firstKey,
  firstTwoKeys,
} from "../command.ts";
import { matchesGlob } from "../glob.ts";
import type { Keyspace } from "../keyspace.ts";
import { CommandError, OK } from "../reply.ts";
import { toExpiryMillis } from "./expiry-options.ts";

/** Keys of any type: deletion, names and expiry times. */
export const keyCommands: CommandTable = {
  DEL: deletion(),
  UNLINK: deletion(),
  EXISTS: { arity: -2, keys: allKeys, run: (db, keys) => keys.filter((key) => db.get(key) !== undefined).length },
  TYPE: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => ({ status: db.get(key)?.type ?? "none" }) },
  KEYS: { arity: 2, run: (db, [pattern]: Args1) => db.keys().filter((key) => matchesGlob(pattern, key)) },
  RANDOMKEY: {
    arity: 1,
    run(db) {
      const keys = db.keys();
      return keys[Math.floor(Math.random() * keys.length)] ?? null;
    },
  },
  RENAME: {
    arity: 3,
    write: true,
    keys: firstTwoKeys,
    run(db, [from, to]: Args2) {
      rename(db, from, to);
      return OK;
    },
  },
  RENAMENX: {
    arity: 3,
    write: true,
    keys: firstTwoKeys,
    run(db, [from, to]: Args2) {
      if (db.get(from) !== undefined && db.get(to) !== undefined) return 0;
      rename(db, from, to);
      return 1;
    },
  },
  EXPIRE: expiration("EX", "expire"),
  PEXPIRE: expiration("PX", "pexpire"),
  EXPIREAT: expiration("EXAT", "expireat"),
  PEXPIREAT: expiration("PXAT", "pexpireat"),
  TTL: remaining((atMillis, nowMillis) => toSeconds(Math.max(0, atMillis - nowMillis))),
  PTTL: remaining((atMillis, nowMillis) => Math.max(0, atMillis - nowMillis)),
  EXPIRETIME: remaining(toSeconds),
  PEXPIRETIME: remaining((atMillis) => atMillis),
  PERSIST: {
    arity: 2,
    write: true,
    keys: firstKey,
    run(db, [key]: Args1) {
      if (db.expiresAtMillis(key) === undefined) return 0;
      db.expireAt(key, undefined);
      return 1;
    },
  },
};

function deletion(): Command {
  return { arity: -2, write: true, keys: allKeys, run: (db, keys) => keys.filter((key) => db.delete(key)).length };
}

/** Moves the value with its expiry time over whatever `to` held. */
function rename(db: Keyspace, from: string, to: string): void {
  const value = db.get(from);
  if (value === undefined) throw new CommandError("ERR no such key");
  if (from === to) return;
  const atMillis = db.expiresAtMillis(from);
  db.delete(from);
  db.delete(to);
  db.put(to, value);
  db.expireAt(to, atMillis);
}

function expiration(word: string, command: string): Command {
  return {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, time, ...conditions]: Args2) {
      const allows = readConditions(conditions);
      const atMillis = toExpiryMillis(db, word, time, command);
      if (db.get(key) === undefined || !allows(atMillis, db.expiresAtMillis(key))) return 0;
      if (atMillis <= db.nowMillis()) db.delete(key);
      else db.expireAt(key, atMillis);
      return 1;
    },
  };
}

/** Reads NX, XX, GT and LT; a key without an expiry time counts as one that expires last. */
function readConditions(words: readonly string[]): (atMillis: number, currentMillis: number | undefined) => boolean {
  const given = new Set<string>();
  for (const word of words) {
    if (!/^(?:NX|XX|GT|LT)$/i.test(word)) throw new CommandError(`ERR Unsupported option ${word}`);
    given.add(word.toUpperCase());
  }
  if (given.has("NX") && given.size > 1) {
    throw new CommandError("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (given.has("GT") && given.has("LT")) {
    throw new CommandError("ERR GT and LT options at the same time are not compatible");
  }
  return (atMillis, currentMillis = Infinity) =>
    (!given.has("NX") || currentMillis === Infinity) &&
    (!given.has("XX") || currentMillis !== Infinity) &&
    (!given.has("GT") || atMillis > currentMillis) &&
    (!given.has("LT") || atMillis < currentMillis);
}

/** Answers -2 for a missing key and -1 for one that does not expire. */
function remaining(convert: (atMillis: number, nowMillis: number) => number): Command {
  return {
    arity: 2,
    keys: firstKey,
    run(db, [key]: Args1) {
      if (db.get(key) === undefined) return -2;
      const atMillis = db.expiresAtMillis(key);
      return atMillis === undefined ? -1 : convert(atMillis, db.nowMillis());
    },
  };
}

function toSeconds(millis: number): number {
  return Math.floor((millis + 500) / 1000);
}
