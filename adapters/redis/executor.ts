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

/** A reply that should be an array, as one of texts; clients that parse JSON may have turned digits into numbers. */
export function texts(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}
