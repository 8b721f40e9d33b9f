import { type Args1, type Args2, type CommandTable, firstKey } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";

/** Sets; members come back in the order in which they were added. */
export const setCommands: CommandTable = {
  SADD: {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...added]: Args1) {
      const { members } = db.readOrCreate(key, "set", () => ({ type: "set", members: new Set() }));
      const before = members.size;
      for (const member of added) members.add(member);
      return members.size - before;
    },
  },
  SREM: {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...removed]: Args1) {
      const members = db.read(key, "set")?.members;
      const count = removed.filter((member) => members?.delete(member)).length;
      db.dropIfEmpty(key);
      return count;
    },
  },
  SMEMBERS: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => [...membersOf(db, key)] },
  SISMEMBER: { arity: 3, keys: firstKey, run: (db, [key, member]: Args2) => (membersOf(db, key).has(member) ? 1 : 0) },
  SCARD: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => membersOf(db, key).size },
};

const NO_MEMBERS: ReadonlySet<string> = new Set();

function membersOf(db: Keyspace, key: string): ReadonlySet<string> {
  return db.read(key, "set")?.members ?? NO_MEMBERS;
}
