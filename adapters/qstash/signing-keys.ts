import type { ConfigurationProblem } from "../../src/errors.ts";
import { utf8 } from "../../src/model/bytes.ts";

/** The two keys that QStash shows for a region: it signs with the current one, and with the next one after a rotation. */
export interface SigningKeyPair {
  /** The key that QStash signs with. */
  readonly current: string;
  /** The key that it signs with after a rotation. */
  readonly next: string;
}

/** The keys as they are configured; an empty one is a variable that is missing from the environment. */
export interface SigningKeyOptions {
  /** The current signing key. */
  readonly currentSigningKey?: string | undefined;
  /** The next signing key, so that a rotation passes unnoticed. */
  readonly nextSigningKey?: string | undefined;
  /** The pairs of further regions. All pairs are tried: which region a request names is up to its sender. */
  readonly keys?: readonly SigningKeyPair[] | undefined;
}

/** A key to verify with. */
export interface SigningKey {
  readonly bytes: Uint8Array;
  readonly role: "current" | "next";
}

interface ConfiguredKey {
  readonly path: string;
  readonly role: "current" | "next";
  readonly key: unknown;
}

/** A shorter key is a truncated or an invented one; an empty one would verify what anyone signs. */
const MIN_KEY_LENGTH = 24;

/** The keys of QStash's development servers, printed in its documentation: anyone can sign with them. */
const PUBLIC_KEYS: ReadonlySet<unknown> = new Set([
  "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
  "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
  "sig_7RvLjqfZBvP5KEUimQCE1pvpLuou",
  "sig_7W3ZNbfKWk5NWwEs3U4ixuQ7fxwE",
]);

/** Tells whether keys were meant to be configured, be it by a variable that turned out to be missing. */
export function mentionsKeys(options: SigningKeyOptions): boolean {
  return "currentSigningKey" in options || "nextSigningKey" in options || "keys" in options;
}

/** The keys to verify with: all current ones before all next ones. Unusable keys verify nothing. */
export function signingKeysOf(options: SigningKeyOptions): readonly SigningKey[] {
  const usable = configuredKeys(options)
    .flat()
    .flatMap(({ key, role }) => (isLongEnough(key) ? [{ bytes: utf8(key), role }] : []));
  return [...usable.filter(({ role }) => role === "current"), ...usable.filter(({ role }) => role === "next")];
}

/** What is wrong with the configured keys; never shows one. */
export function keyProblems(options: SigningKeyOptions, dev: boolean): ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  for (const pair of configuredKeys(options)) {
    for (const { path, role, key } of pair) {
      if (!isLongEnough(key)) {
        problems.push({
          path,
          expected: `the ${role} signing key`,
          found: typeof key === "string" && key !== "" ? `${key.length} characters` : "nothing",
          remedy: "Copy it whole from the QStash console, and check the name of its environment variable.",
        });
      } else if (PUBLIC_KEYS.has(key) && !dev) {
        problems.push({
          path,
          expected: "a signing key of your own",
          found: "the public key of the development server",
          remedy: "Anyone can sign with it: copy yours from the QStash console. For local work pass dev: true.",
        });
      }
    }
    const [current, next] = pair;
    if (isLongEnough(next.key) && current.key === next.key) {
      problems.push({
        path: next.path,
        expected: "another key than the current one",
        found: "the same key twice",
        remedy: "Copy the next signing key, or a rotation will refuse everything.",
      });
    }
  }
  return problems;
}

function configuredKeys(options: SigningKeyOptions): (readonly [ConfiguredKey, ConfiguredKey])[] {
  const further = options.keys ?? [];
  const pairs = further.map(({ current, next }, i) => pairOf(`keys[${i}].current`, current, `keys[${i}].next`, next));
  const named = "currentSigningKey" in options || "nextSigningKey" in options;
  if (named || pairs.length === 0) {
    pairs.unshift(pairOf("currentSigningKey", options.currentSigningKey, "nextSigningKey", options.nextSigningKey));
  }
  return pairs;
}

function pairOf(
  currentPath: string,
  current: unknown,
  nextPath: string,
  next: unknown,
): readonly [ConfiguredKey, ConfiguredKey] {
  return [
    { path: `qstash.${currentPath}`, role: "current", key: current },
    { path: `qstash.${nextPath}`, role: "next", key: next },
  ];
}

function isLongEnough(key: unknown): key is string {
  return typeof key === "string" && key.length >= MIN_KEY_LENGTH;
}
