import { isBilled } from "../billing.ts";

/** What Upstash does not bill, or does not see: transactions have no MULTI there, and connections no handshake. */
const NOT_COUNTED: ReadonlySet<string> = new Set(["MULTI", "EXEC", "HELLO", "CLIENT"]);

/** Reads how often each billed command was called from `INFO commandstats`, by upper-case name. */
export function parseCommandStats(info: string): Map<string, number> {
  const calls = new Map<string, number>();
  for (const [, command = "", count] of info.matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)) {
    const name = command.toUpperCase();
    if (isBilled(name) && !NOT_COUNTED.has(name)) calls.set(name, (calls.get(name) ?? 0) + Number(count));
  }
  return calls;
}
