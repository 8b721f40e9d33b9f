import type { RedisBilling } from "./billing.ts";
import type { RedisReply } from "./reply.ts";

/**
 * What executes commands for the REST endpoint: the embedded engine, or a real server.
 *
 * Words and replies are byte strings (see `bytes.ts`). An error of Redis' is a reply; only a lost connection
 * rejects.
 */
export interface RedisBackend {
  /** Executes one command. Commands are executed in the order in which they were given. */
  execute(args: readonly string[]): RedisReply | Promise<RedisReply>;
  /**
   * Executes commands as MULTI and EXEC do: without others between them.
   *
   * One that is unknown or has the wrong number of words discards all; one that fails leaves the others standing.
   */
  transaction(commands: readonly (readonly string[])[]): RedisReply | Promise<RedisReply>;
  /**
   * Counts what was executed since the last reset as Upstash bills it: each command, those of a pipeline and of a
   * transaction too, and besides a script the commands inside it. MULTI and EXEC themselves are not counted.
   */
  billed(): RedisBilling | Promise<RedisBilling>;
  /** Starts the count anew. */
  resetBilled(): void | Promise<void>;
}
