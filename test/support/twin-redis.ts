import { Redis } from "ioredis";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import type { RedisExecutor } from "../../adapters/redis/index.ts";
import { redisExecutor } from "../../adapters/redis/index.ts";
import { startRedisServer } from "./redis-server.ts";
import { backendExecutor } from "./upstash-endpoint.ts";

/** A Redis whose scripts read their time from a test's clock. All else of it is as it is. */
export interface TwinRedis extends RedisExecutor {
  /** Forgets everything. */
  flush(): Promise<void>;
  /** Lets so much time pass for keys with a time to live: the server's own clock is nobody's to move. */
  age(millis: number): Promise<void>;
}

/** How a script is changed before it is run. */
export type Edit = (script: string) => string;

/** Several of them, each empty and apart from the others. */
export interface TwinServer {
  /** What it is, for people. */
  readonly name: string;
  /** How many sequences it works on at a time. */
  readonly places: number;
  /** One of the places, on a clock; a test that wants the twins to differ edits the scripts. */
  open(place: number, now: () => number, edit?: Edit): TwinRedis;
  stop(): Promise<void>;
}

/** Redis has 16 databases. */
const PLACES = 12;

/** A real `redis-server` where there is one on the PATH, and else the embedded engine; in CI there must be one. */
export async function startTwinServer(): Promise<TwinServer> {
  const server = await startRedisServer();
  if (server === undefined) {
    const engine = createRedisEngine();
    const executor = backendExecutor(engine);
    return {
      name: "the embedded engine",
      places: 1,
      open: (_, now, edit) => twinRedis(executor, now, edit),
      stop: async () => {},
    };
  }
  const clients = Array.from({ length: PLACES }, (_, db) => {
    return new Redis({ host: "127.0.0.1", port: server.port, db, lazyConnect: true });
  });
  return {
    name: "redis-server",
    places: PLACES,
    open: (place, now, edit) => twinRedis(redisExecutor(clients[place]!), now, edit),
    async stop() {
      for (const client of clients) client.disconnect();
      await server.stop();
    },
  };
}

const TIME = "redis.call('TIME')";
/** The last key of a script that asks for the time ends with it: seconds, and six digits of microseconds, as `TIME` has it. */
const TWIN_TIME = "({ string.match(KEYS[#KEYS], '(%d+)(%d%d%d%d%d%d)$') })";

const AGE = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[1]) then redis.call('DEL', key)
  elseif left > 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
end
`;

function twinRedis(server: RedisExecutor, now: () => number, edit: Edit = (script) => script): TwinRedis {
  return {
    execute(command) {
      const [name, script = "", count, ...rest] = command;
      if (name !== "EVAL") return server.execute(command);
      const edited = edit(script);
      if (!edited.includes(TIME)) return server.execute([name, edited, count!, ...rest]);
      const keys = rest.slice(0, Number(count));
      const clock = `{aftercommit:0}:clock:${now()}000`;
      const text = edited.replaceAll(TIME, () => TWIN_TIME);
      return server.execute([name, text, String(keys.length + 1), ...keys, clock, ...rest.slice(keys.length)]);
    },
    flush: async () => void (await server.execute(["FLUSHDB"])),
    age: async (millis) => void (await server.execute(["EVAL", AGE, "0", String(millis)])),
  };
}
