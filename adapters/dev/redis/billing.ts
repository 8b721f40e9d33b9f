/** Commands counted as Upstash bills them. */
export interface RedisBilling {
  /** All of them. */
  readonly total: number;
  /** Counts by upper-case command name; a command that never ran is absent. */
  readonly byCommand: Readonly<Record<string, number>>;
}

/** Commands that cost nothing. */
const UNBILLED: ReadonlySet<string> = new Set(["AUTH", "INFO", "PING", "QUIT", "COMMAND"]);

/** Returns whether a command counts; `name` is upper-case. */
export function isBilled(name: string): boolean {
  return !UNBILLED.has(name);
}

/** Adds up counts by name. */
export function toBilling(counts: Iterable<readonly [name: string, count: number]>): RedisBilling {
  const byCommand: Record<string, number> = {};
  let total = 0;
  for (const [name, count] of counts) {
    if (count === 0) continue;
    byCommand[name] = (byCommand[name] ?? 0) + count;
    total += count;
  }
  return { total, byCommand };
}
