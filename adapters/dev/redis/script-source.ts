import { CommandError } from "./reply.ts";

/** A script's text without its first line, and what that line declares. */
export interface ScriptSource {
  readonly code: string;
  readonly flags: ReadonlySet<string>;
}

/** Upstash's flag: lock the keys in KEYS instead of the whole database, and touch no others. */
export const ALLOW_KEY_LOCKING = "allow-key-locking";
export const NO_WRITES = "no-writes";

const KNOWN_FLAGS: ReadonlySet<string> = new Set([
  ALLOW_KEY_LOCKING,
  NO_WRITES,
  "allow-oom",
  "allow-stale",
  "no-cluster",
  "allow-cross-slot-keys",
]);

/** Reads a first line such as `#!lua flags=no-writes,allow-stale`; without one, no flags. */
export function parseScriptSource(text: string): ScriptSource {
  if (!text.startsWith("#!")) return { code: text, flags: new Set() };
  const end = text.indexOf("\n");
  if (end < 0) throw new CommandError("ERR Invalid script shebang");
  const [engine = "", ...options] = text.slice(0, end).trimEnd().split(/ +/);
  if (engine !== "#!lua") throw new CommandError(`ERR Unexpected engine in script shebang: ${engine}`);
  const flags = new Set<string>();
  for (const option of options) {
    if (!option.startsWith("flags=")) throw new CommandError(`ERR Unknown lua shebang option: ${option}`);
    for (const flag of option.slice("flags=".length).split(",").filter(Boolean)) {
      if (!KNOWN_FLAGS.has(flag)) throw new CommandError(`ERR Unexpected flag in script shebang: ${flag}`);
      flags.add(flag);
    }
  }
  // The line break stays, so that the lines of errors count from the first one.
  return { code: text.slice(end), flags };
}
