import type { Keyspace } from "../keyspace.ts";
import { INTEGER_MAX, parseInteger64 } from "../numbers.ts";
import { CommandError } from "../reply.ts";

/** Words that give an expiry time: seconds or milliseconds, from now or since the epoch. */
export const EXPIRY_WORDS: ReadonlySet<string> = new Set(["EX", "PX", "EXAT", "PXAT"]);

const invalidExpireTime = (command: string): CommandError =>
  new CommandError(`ERR invalid expire time in '${command}' command`);

/**
 * Converts a time argument to milliseconds since the epoch.
 *
 * Throws "not an integer", or "invalid expire time in '<command>' command" if it does not fit in 64 bits.
 */
export function toExpiryMillis(db: Keyspace, word: string, text: string, command: string): number {
  const given = parseInteger64(text);
  const millis = word.startsWith("EX") ? given * 1000n : given;
  const at = word.endsWith("AT") ? millis : millis + BigInt(db.nowMillis());
  if (millis > INTEGER_MAX || millis < -INTEGER_MAX || at > INTEGER_MAX) throw invalidExpireTime(command);
  return Number(at);
}

/** As {@link toExpiryMillis}, for commands that also refuse zero and negative times. */
export function toPositiveExpiryMillis(db: Keyspace, word: string, text: string, command: string): number {
  if (parseInteger64(text) <= 0n) throw invalidExpireTime(command);
  return toExpiryMillis(db, word, text, command);
}
