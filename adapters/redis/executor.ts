/** The one thing that the log and the inbox need of a Redis client. */
export interface RedisExecutor {
  /**
   * Runs one command on the primary and resolves to its reply: text, number, null, or an array of these. Error replies
   * reject. A rejected promise means "not known": the command may have been applied.
   */
  execute(command: readonly string[]): Promise<unknown>;
}

/** A script with its keys and arguments, as a command. */
export function evalCommand(script: string, keys: readonly string[], args: readonly string[]): readonly string[] {
  return ["EVAL", script, String(keys.length), ...keys, ...args];
}

/** Whether a reply says that there is none. */
export function isAbsent(reply: unknown): reply is null | undefined {
  return reply === null || reply === undefined;
}

/** A reply as text, or `undefined` where there is none. */
export function optionalText(reply: unknown): string | undefined {
  return isAbsent(reply) ? undefined : texts([reply])[0];
}

/** A reply that should be an array, as one of texts; clients that parse JSON may have turned digits into numbers. */
export function texts(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}
