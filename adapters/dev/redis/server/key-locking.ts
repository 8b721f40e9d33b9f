import type { RedisReply } from "../reply.ts";
import { ALLOW_KEY_LOCKING } from "../script-source.ts";
import { sha1Hex } from "../sha1.ts";

/** Lets scripts that carry Upstash's flag `allow-key-locking`, which Redis refuses, run on a real server. */
export interface KeyLockingTranslator {
  /** Rewrites a command that names a script; others stay as they are. */
  translate(args: readonly string[]): readonly string[];
  /** Rewrites the reply to a translated command, given as it was before. */
  translateReply(args: readonly string[], reply: RedisReply): RedisReply;
}

/**
 * Creates the translator. It drops the flag, so that the keys are not checked, and remembers the SHA-1 of the script
 * as it was, by which callers know it.
 */
export function createKeyLockingTranslator(): KeyLockingTranslator {
  const translatedSha1 = new Map<string, string>();

  const translateText = (text: string): string => {
    const translated = withoutFlag(text);
    if (translated !== text) translatedSha1.set(sha1Hex(text), sha1Hex(translated));
    return translated;
  };
  const translateSha1 = (sha1: string): string => translatedSha1.get(sha1.toLowerCase()) ?? sha1;

  return {
    translate(args) {
      const [name = "", first, ...rest] = args;
      if (first === undefined) return args;
      if (/^EVAL(?:_RO)?$/i.test(name)) return [name, translateText(first), ...rest];
      if (/^EVALSHA(?:_RO)?$/i.test(name)) return [name, translateSha1(first), ...rest];
      if (!/^SCRIPT$/i.test(name)) return args;
      return [name, first, ...rest.map(/^LOAD$/i.test(first) ? translateText : translateSha1)];
    },
    translateReply([name = "", subcommand = "", text = ""], reply) {
      const isLoad = /^SCRIPT$/i.test(name) && /^LOAD$/i.test(subcommand);
      return isLoad && typeof reply === "string" ? sha1Hex(text) : reply;
    },
  };
}

function withoutFlag(text: string): string {
  return text.replace(/^#!lua +flags=(\S+)/, (line, flags: string) => {
    const kept = flags.split(",").filter((flag) => flag !== ALLOW_KEY_LOCKING);
    if (kept.length === flags.split(",").length) return line;
    return kept.length === 0 ? "#!lua" : `#!lua flags=${kept.join(",")}`;
  });
}
