import type { Args1, CommandTable } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { OK, type RedisReply, syntaxError, wrongArity } from "../reply.ts";

/** The version whose behaviour the engine follows. */
export const REDIS_VERSION = "7.0.15";

/** The server as such: liveness, time and emptying. */
export const serverCommands: CommandTable = {
  PING: {
    arity: -1,
    run(_db, [message, ...rest]) {
      if (rest.length > 0) throw wrongArity("ping");
      return message ?? { status: "PONG" };
    },
  },
  ECHO: { arity: 2, run: (_db, [message]: Args1) => message },
  TIME: {
    arity: 1,
    run(db) {
      const micros = Math.floor(db.clockMillis() * 1000);
      return [String(Math.floor(micros / 1_000_000)), String(micros % 1_000_000)];
    },
  },
  INFO: {
    arity: -1,
    run(db) {
      const keys = db.size();
      const lines = ["# Server", `redis_version:${REDIS_VERSION}`, "redis_mode:standalone", "", "# Keyspace"];
      if (keys > 0) lines.push(`db0:keys=${keys}`);
      return `${lines.join("\r\n")}\r\n`;
    },
  },
  DBSIZE: { arity: 1, run: (db) => db.size() },
  FLUSHALL: { arity: -1, write: true, run: flush },
  FLUSHDB: { arity: -1, write: true, run: flush },
};

function flush(db: Keyspace, [mode = "SYNC", ...rest]: readonly string[]): RedisReply {
  if (rest.length > 0 || !/^A?SYNC$/i.test(mode)) throw syntaxError();
  db.clear();
  return OK;
}
