import { OK, type RedisReply } from "../reply.ts";

/** Commands that need a connection of their own, or would keep it waiting. */
const UNAVAILABLE: ReadonlySet<string> = new Set(
  [
    "BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF",
    "MONITOR PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE",
    "DISCARD EXEC MULTI UNWATCH WATCH",
    "ASKING AUTH CLIENT CLUSTER HELLO QUIT READONLY READWRITE RESET",
    "CONFIG DEBUG FAILOVER PSYNC REPLCONF REPLICAOF SHUTDOWN SLAVEOF SYNC",
  ].flatMap((line) => line.split(" ")),
);

const STREAM_READS: ReadonlySet<string> = new Set(["XREAD", "XREADGROUP"]);

/** Answers commands that make no sense over HTTP, in place of the backend. */
export function answerUnavailable(args: readonly string[]): RedisReply | undefined {
  const [word = "", ...rest] = args;
  const name = word.toUpperCase();
  const waits = STREAM_READS.has(name) && rest.some((argument) => argument.toUpperCase() === "BLOCK");
  if (UNAVAILABLE.has(name) || waits) return { error: `ERR Command is not available over REST: '${name}'` };
  if (name !== "SELECT") return undefined;
  return rest[0] === "0" ? OK : { error: `ERR Only 0th database is supported! Selected DB: ${rest.join(" ")}` };
}
