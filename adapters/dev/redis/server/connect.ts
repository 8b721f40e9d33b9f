import { Buffer } from "node:buffer";
import type { RedisBackend } from "../backend.ts";
import { type RedisBilling, toBilling } from "../billing.ts";
import { PackageMissingError } from "../package-missing.ts";
import type { RedisReply } from "../reply.ts";
import { parseCommandStats } from "./command-stats.ts";
import { createKeyLockingTranslator } from "./key-locking.ts";

/** Where the server is. */
export interface RedisServerOptions {
  /** Its host name or address. */
  readonly host: string;
  /** Its TCP port. */
  readonly port: number;
}

/** A real Redis server behind one connection. */
export interface RedisServerBackend extends RedisBackend {
  /** Executes one command. */
  execute(args: readonly string[]): Promise<RedisReply>;
  /** Executes commands as MULTI and EXEC do. */
  transaction(commands: readonly (readonly string[])[]): Promise<RedisReply>;
  /**
   * Counts what the server executed since the last reset, as `INFO commandstats` has it: for all its clients, and with
   * the commands inside scripts. CONFIG RESETSTAT and a restart disturb the count.
   */
  billed(): Promise<RedisBilling>;
  /** Starts the count anew. */
  resetBilled(): Promise<void>;
  /** Closes the connection; what is under way is answered first. */
  close(): Promise<void>;
}

/** How long after a lost connection the server is looked for again. */
const RECONNECT_MILLIS = 100;

/**
 * Connects to a Redis server over TCP.
 *
 * Scripts that carry Upstash's flag `allow-key-locking` run without it. Throws {@link PackageMissingError}, or the
 * client's own error if there is no server; `execute` and `transaction` reject when the connection is lost.
 */
export async function connectRedisServer({ host, port }: RedisServerOptions): Promise<RedisServerBackend> {
  const { createClient, ErrorReply, RESP_TYPES } = await loadClient();
  let connected = false;
  const client = createClient({
    RESP: 2,
    // A server that is not there is told at once; one that restarts is found again, and commands meanwhile reject.
    socket: { host, port, reconnectStrategy: () => (connected ? RECONNECT_MILLIS : false) },
    disableOfflineQueue: true,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  // Every command that suffers rejects; without a listener the event would end the process.
  client.on("error", () => {});
  await client.connect();
  connected = true;
  const keyLocking = createKeyLockingTranslator();

  const send = async (args: readonly string[]): Promise<RedisReply> => {
    const words = keyLocking.translate(args).map((word) => Buffer.from(word, "latin1"));
    try {
      return keyLocking.translateReply(args, toReply(await client.sendCommand<unknown>(words)));
    } catch (error) {
      if (error instanceof ErrorReply) return { error: error.message };
      throw error;
    }
  };
  const commandStats = async (): Promise<Map<string, number>> => {
    const info = await send(["INFO", "commandstats"]);
    return parseCommandStats(typeof info === "string" ? info : "");
  };
  let baseline = await commandStats();

  return {
    execute: send,
    async transaction(commands) {
      // Written to the one connection in one go: nothing of ours comes between.
      const replies = await Promise.all([["MULTI"], ...commands, ["EXEC"]].map(send));
      return replies.at(-1) ?? null;
    },
    async billed() {
      const stats = await commandStats();
      return toBilling([...stats].map(([name, calls]) => [name, calls - (baseline.get(name) ?? 0)] as const));
    },
    async resetBilled() {
      baseline = await commandStats();
    },
    close: () => client.close(),
  };
}

async function loadClient(): Promise<typeof import("redis")> {
  try {
    return await import("redis");
  } catch (cause) {
    throw new PackageMissingError("redis", "reach a Redis server", cause);
  }
}

/** Converts what the client parsed: bulk strings are buffers, so that a string is a status. */
function toReply(value: unknown): RedisReply {
  if (typeof value === "string") return { status: value };
  if (typeof value === "number" || value === null) return value;
  if (Buffer.isBuffer(value)) return value.toString("latin1");
  if (Array.isArray(value)) return value.map(toReply);
  if (value instanceof Error) return { error: value.message };
  throw new TypeError(`expected a RESP2 reply, found ${typeof value}`);
}
