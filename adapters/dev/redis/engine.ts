import type { RedisBackend } from "./backend.ts";
import { isBilled, type RedisBilling, toBilling } from "./billing.ts";
import { isByteString } from "./bytes.ts";
import { createWallClock } from "./clock.ts";
import { type Command, hasArity } from "./command.ts";
import { createCommandTable } from "./commands/table.ts";
import type { ScriptPermissions } from "./commands/scripts.ts";
import { createKeyspace, type RedisSnapshot } from "./keyspace.ts";
import { CommandError, type RedisError, type RedisReply, wrongArity } from "./reply.ts";

/** What the engine does not choose itself. */
export interface RedisEngineOptions {
  /** Milliseconds since the epoch, with or without a fraction. @default the system clock */
  readonly now?: () => number;
}

/**
 * A Redis in memory: one database, one thread, every command and every script atomic.
 *
 * Replies, error texts and expiry follow Redis 7.0; words and replies are byte strings (see `bytes.ts`).
 */
export interface RedisEngine extends RedisBackend {
  /** Executes one command. Throws a `TypeError` if a word is no byte string. */
  execute(args: readonly string[]): RedisReply;
  /** Executes commands as MULTI and EXEC do: nothing comes between them. */
  transaction(commands: readonly (readonly string[])[]): RedisReply;
  /** Counts what was executed since the last reset as Upstash bills it. */
  billed(): RedisBilling;
  /** Starts the count anew. */
  resetBilled(): void;
  /** Deletes all keys; scripts and counts stay. */
  flushAll(): void;
  /** Copies all keys with their expiry times. */
  snapshot(): RedisSnapshot;
  /** Puts all keys back as they were, here or in another engine: what a failover to a replica that lags behind does. */
  restore(snapshot: RedisSnapshot): void;
}

/** Commands that a script must not call though the engine has none of them. */
const REFUSED_IN_SCRIPTS: ReadonlySet<string> = new Set(
  [
    "AUTH DISCARD EXEC HELLO MULTI UNWATCH WATCH",
    "PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE",
  ].flatMap((line) => line.split(" ")),
);

const UNKNOWN_COMMAND_DETAIL = 128;

/**
 * Creates an empty engine.
 *
 * Running a script throws {@link PackageMissingError} if fengari is not installed. A script without end never returns: Redis
 * would let itself be told to kill it, here it keeps the process.
 */
export function createRedisEngine(options: RedisEngineOptions = {}): RedisEngine {
  const db = createKeyspace(options.now ?? createWallClock());
  const counts = new Map<string, number>();

  const run = (command: Command, name: string, args: readonly string[]): RedisReply => {
    if (isBilled(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
    try {
      return command.run(db, args.slice(1));
    } catch (error) {
      return toErrorReply(error);
    }
  };
  const runInScript = (args: readonly string[], permissions: ScriptPermissions): RedisReply => {
    const [word] = args;
    if (word === undefined) return { error: "ERR Please specify at least one argument for this redis lib call" };
    const name = word.toUpperCase();
    const command = commands.get(name);
    if (command === undefined) return { error: refuseUnknown(name) };
    const refusal = refuse(command, args, permissions);
    return refusal === undefined ? run(command, name, args) : { error: refusal };
  };
  const commands = createCommandTable(runInScript);

  /** Finds a command and checks its number of words. */
  const resolve = (args: readonly string[]): { readonly name: string; readonly command: Command } | RedisError => {
    const [word] = args;
    if (word === undefined) return { error: "ERR empty command" };
    if (!args.every(isByteString)) throw new TypeError("expected byte strings, found a character above 255");
    const name = word.toUpperCase();
    const command = commands.get(name);
    if (command === undefined) return { error: describeUnknown(args) };
    if (!hasArity(command.arity, args.length)) return toErrorReply(wrongArity(word));
    return { name, command };
  };

  return {
    execute(args) {
      const resolved = resolve(args);
      if ("error" in resolved) return resolved;
      db.tick();
      return run(resolved.command, resolved.name, args);
    },
    transaction(transacted) {
      const resolved = transacted.map((args) => ({ args, ...resolve(args) }));
      if (resolved.some((step) => "error" in step)) {
        return { error: "EXECABORT Transaction discarded because of previous errors." };
      }
      return resolved.map((step) => {
        if (!("command" in step)) return { error: step.error };
        db.tick();
        return run(step.command, step.name, step.args);
      });
    },
    billed: () => toBilling(counts),
    resetBilled: () => counts.clear(),
    flushAll: () => db.clear(),
    snapshot: () => db.snapshot(),
    restore: (snapshot) => db.restore(snapshot),
  };
}

function toErrorReply(error: unknown): RedisError {
  if (error instanceof CommandError) return { error: error.message };
  throw error;
}

function refuseUnknown(name: string): string {
  return REFUSED_IN_SCRIPTS.has(name)
    ? "ERR This Redis command is not allowed from script"
    : "ERR Unknown Redis command called from script";
}

function refuse(
  command: Command,
  args: readonly string[],
  { readOnly, lockedKeys }: ScriptPermissions,
): string | undefined {
  if (!hasArity(command.arity, args.length)) return "ERR Wrong number of args calling Redis command from script";
  if (command.noScript === true) return "ERR This Redis command is not allowed from script";
  if (readOnly && command.write === true) return "ERR Write commands are not allowed from read-only scripts.";
  const keys = lockedKeys === undefined ? [] : (command.keys?.(args.slice(1)) ?? []);
  const dynamic = keys.find((key) => lockedKeys?.has(key) === false);
  return dynamic === undefined
    ? undefined
    : `ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking' flag is set. Key was: ${dynamic}`;
}

function describeUnknown([name = "", ...args]: readonly string[]): string {
  let detail = "";
  for (const argument of args) {
    if (detail.length >= UNKNOWN_COMMAND_DETAIL) break;
    detail += `'${argument.slice(0, UNKNOWN_COMMAND_DETAIL - detail.length)}' `;
  }
  return `ERR unknown command '${name.slice(0, UNKNOWN_COMMAND_DETAIL)}', with args beginning with: ${detail}`;
}
