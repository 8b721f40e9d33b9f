/**
 * What a command answers, as RESP2 knows it.
 *
 * A `string` is a bulk string (a byte string, see `bytes.ts`), a `number` an integer, `null` the nil
 * reply. Statuses and errors are objects, because a value may well be the text "OK". Integers beyond 2^53 lose their
 * last digits here, never in the store.
 */
export type RedisReply = string | number | null | RedisStatus | RedisError | readonly RedisReply[];

/** A simple string such as `OK`. */
export interface RedisStatus {
  /** Its text. */
  readonly status: string;
}

/** An error with its code, as Redis prints it: `WRONGTYPE Operation against …`. */
export interface RedisError {
  /** Its code and message. */
  readonly error: string;
}

/** The status almost every write answers. */
export const OK: RedisStatus = { status: "OK" };

/** Tells a status from other replies. */
export function isRedisStatus(reply: RedisReply): reply is RedisStatus {
  return typeof reply === "object" && reply !== null && "status" in reply;
}

/** Tells an error from other replies. */
export function isRedisError(reply: RedisReply): reply is RedisError {
  return typeof reply === "object" && reply !== null && "error" in reply;
}

/** Tells an array from other replies. */
export function isRedisArray(reply: RedisReply): reply is readonly RedisReply[] {
  return Array.isArray(reply);
}

/** Thrown inside a command to answer with an error; it never leaves the engine. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

export const syntaxError = (): CommandError => new CommandError("ERR syntax error");

export const notAnInteger = (): CommandError => new CommandError("ERR value is not an integer or out of range");

export const notAFloat = (): CommandError => new CommandError("ERR value is not a valid float");

export const wrongType = (): CommandError =>
  new CommandError("WRONGTYPE Operation against a key holding the wrong kind of value");

export const wrongArity = (command: string): CommandError =>
  new CommandError(`ERR wrong number of arguments for '${command.toLowerCase()}' command`);
