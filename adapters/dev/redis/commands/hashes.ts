import { type Args1, type Args2, type Args3, type Command, type CommandTable, firstKey } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { parseInteger64 } from "../numbers.ts";
import { CommandError, OK, wrongArity } from "../reply.ts";
import { addIntegers } from "./strings.ts";

/** Hashes: fields with values under one key. */
export const hashCommands: CommandTable = {
  HSET: {
    arity: -4,
    write: true,
    keys: firstKey,
    run: (db, [key, ...pairs]: Args1) => setFields(db, "hset", key, pairs),
  },
  HMSET: {
    arity: -4,
    write: true,
    keys: firstKey,
    run(db, [key, ...pairs]: Args1) {
      setFields(db, "hmset", key, pairs);
      return OK;
    },
  },
  HSETNX: {
    arity: 4,
    write: true,
    keys: firstKey,
    run(db, [key, field, value]: Args3) {
      const fields = openFields(db, key);
      if (fields.has(field)) return 0;
      fields.set(field, value);
      return 1;
    },
  },
  HGET: { arity: 3, keys: firstKey, run: (db, [key, field]: Args2) => fieldsOf(db, key).get(field) ?? null },
  HMGET: {
    arity: -3,
    keys: firstKey,
    run(db, [key, ...names]: Args1) {
      const fields = fieldsOf(db, key);
      return names.map((name) => fields.get(name) ?? null);
    },
  },
  HGETALL: reading((fields) => [...fields].flat()),
  HKEYS: reading((fields) => [...fields.keys()]),
  HVALS: reading((fields) => [...fields.values()]),
  HLEN: reading((fields) => fields.size),
  HEXISTS: { arity: 3, keys: firstKey, run: (db, [key, field]: Args2) => (fieldsOf(db, key).has(field) ? 1 : 0) },
  HDEL: {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...names]: Args1) {
      const fields = db.read(key, "hash")?.fields;
      const deleted = names.filter((name) => fields?.delete(name)).length;
      db.dropIfEmpty(key);
      return deleted;
    },
  },
  HINCRBY: {
    arity: 4,
    write: true,
    keys: firstKey,
    run(db, [key, field, by]: Args3) {
      const amount = parseInteger64(by);
      const sum = addIntegers(integerOf(fieldsOf(db, key).get(field) ?? "0"), amount);
      openFields(db, key).set(field, sum.toString());
      return Number(sum);
    },
  },
};

const NO_FIELDS: ReadonlyMap<string, string> = new Map();

function fieldsOf(db: Keyspace, key: string): ReadonlyMap<string, string> {
  return db.read(key, "hash")?.fields ?? NO_FIELDS;
}

function openFields(db: Keyspace, key: string): Map<string, string> {
  return db.readOrCreate(key, "hash", () => ({ type: "hash", fields: new Map() })).fields;
}

function reading(answer: (fields: ReadonlyMap<string, string>) => string[] | number): Command {
  return { arity: 2, keys: firstKey, run: (db, [key]: Args1) => answer(fieldsOf(db, key)) };
}

function setFields(db: Keyspace, command: string, key: string, pairs: readonly string[]): number {
  if (pairs.length % 2 !== 0) throw wrongArity(command);
  const fields = openFields(db, key);
  const before = fields.size;
  for (let index = 0; index < pairs.length; index += 2) fields.set(pairs[index]!, pairs[index + 1]!);
  return fields.size - before;
}

function integerOf(text: string): bigint {
  try {
    return parseInteger64(text);
  } catch (cause) {
    throw new CommandError("ERR hash value is not an integer", { cause });
  }
}
