import type { LogStore } from "aftercommit";
import { call } from "../call.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";

/** What a full Redis still does: it reads, and drops. */
const NEEDS_NO_ROOM = new Set(["decisions", "release", "discard", "look"]);
/** What may be answered by a replica that lags behind. */
const FROM_REPLICA = new Set(["transactions.decisions"]);

type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;

/** The log and the inbox as a process reaches them: over a network, and with all that befalls Redis itself. */
export function redisOf(world: World, process: Process): LogStore {
  const { redis, faults } = world;

  const reached = <Part extends object>(part: keyof LogStore, methods: Part): Part => {
    const wrapped: Record<string, unknown> = {};
    for (const [method, run] of Object.entries(methods as Methods)) {
      const name = `${part}.${method}`;
      const stale = part === "reader" || FROM_REPLICA.has(name);
      wrapped[method] = (...args: never[]): Promise<unknown> => {
        const seen = async (acting: unknown): Promise<unknown> => {
          const result = await acting;
          world.oracle.logActed(name, args, result);
          return result;
        };
        const fromReplica = stale && faults.percent(5);
        return call(world, process, {
          port: "redis",
          name,
          act() {
            if (redis.down) throw new Error("Redis is out of reach");
            if (redis.full && !NEEDS_NO_ROOM.has(method) && part !== "reader" && !isSettling(name, args))
              throw new Error("OOM command not allowed when used memory > 'maxmemory'");
            if (fromReplica) return (redis.replica[part] as unknown as Methods)[method]!(...args);
            return seen(run(...args));
          },
        });
      };
    }
    return wrapped as Part;
  };

  const { store } = redis;
  return {
    transactions: reached("transactions", store.transactions),
    deadLetters: reached("deadLetters", store.deadLetters),
    reader: reached("reader", store.reader),
    inbox: reached("inbox", store.inbox),
    shardOf: (id) => store.shardOf(id),
    ...reached("mark", { mark: store.mark, cleanUp: store.cleanUp }),
  };
}

/** A record that is dropped makes room. */
function isSettling(name: string, args: readonly unknown[]): boolean {
  if (name !== "transactions.record") return false;
  return (args[0] as readonly object[]).every((change) => "settled" in change);
}
