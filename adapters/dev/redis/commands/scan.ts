import { type Args1, type Args2, type Command, type CommandTable, firstKey } from "../command.ts";
import { matchesGlob } from "../glob.ts";
import type { Keyspace } from "../keyspace.ts";
import { formatScore, parseInteger } from "../numbers.ts";
import { CommandError, syntaxError } from "../reply.ts";

/**
 * Iteration with cursors.
 *
 * SCAN goes through the keys in the order of their creation, so that a key which stays is seen exactly once. The
 * others answer a whole collection at once, as Redis does with small ones: COUNT is but a hint.
 */
export const scanCommands: CommandTable = {
  SCAN: {
    arity: -2,
    run(db, [cursor, ...words]: Args1) {
      const after = readCursor(cursor);
      const { pattern, count, type } = readScanOptions(words, true);
      const { keys, next } = db.scan(after, count);
      const matching = keys.filter(
        (key) => matchesGlob(pattern, key) && (type === undefined || db.get(key)?.type === type),
      );
      return [String(next), matching];
    },
  },
  HSCAN: scanning((db, key) => [...(db.read(key, "hash")?.fields ?? [])]),
  SSCAN: scanning((db, key) => [...(db.read(key, "set")?.members ?? [])].map((member) => [member])),
  ZSCAN: scanning((db, key) => {
    const members = db.read(key, "zset")?.members;
    return (members?.slice(0, members.size) ?? []).map(({ member, score }) => [member, formatScore(score)]);
  }),
};

const DEFAULT_SCAN_COUNT = 10;

/** `list` gives each element as the words it is printed with, the first of which MATCH looks at. */
function scanning(list: (db: Keyspace, key: string) => (readonly [string, ...string[]])[]): Command {
  return {
    arity: -3,
    keys: firstKey,
    run(db, [key, cursor, ...words]: Args2) {
      const after = readCursor(cursor);
      const elements = list(db, key);
      const { pattern } = readScanOptions(words, false);
      return ["0", after === 0 ? elements.filter(([name]) => matchesGlob(pattern, name)).flat() : []];
    },
  };
}

function readCursor(text: string): number {
  if (!/^\d+$/.test(text)) throw new CommandError("ERR invalid cursor");
  return Number(text);
}

function readScanOptions(
  words: readonly string[],
  typed: boolean,
): { readonly pattern: string; readonly count: number; readonly type?: string } {
  let pattern = "*";
  let count = DEFAULT_SCAN_COUNT;
  let type: string | undefined;
  for (let index = 0; index < words.length; index += 2) {
    const word = words[index]!.toUpperCase();
    const value = words[index + 1];
    if (value === undefined) throw syntaxError();
    if (word === "MATCH") pattern = value;
    else if (word === "COUNT") count = parseInteger(value);
    else if (word === "TYPE" && typed) type = value.toLowerCase();
    else throw syntaxError();
    if (count < 1) throw syntaxError();
  }
  return type === undefined ? { pattern, count } : { pattern, count, type };
}
