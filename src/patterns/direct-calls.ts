import type { ConfigurationProblem } from "../errors.ts";
import type { DirectCalls } from "../ports/direct-calls.ts";
import { parseWebhookSecret } from "./webhook-signature.ts";

/** How services call each other's participants. */
export interface DirectCallsOptions {
  /**
   * The secrets that both sides have, `whsec_` and the base64 of 24 to 64 random bytes. Calls are signed with the first and
   * taken with any: to rotate, add the new one behind on all services, put it in front, then drop the old one.
   */
  readonly secrets: readonly (string | undefined)[];
  /** Makes HTTP requests. @default the runtime's */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Direct calls between services, signed as Standard Webhooks are.
 *
 * @example
 * ```ts
 * const ac = aftercommit({ calls: directCalls({ secrets: [process.env.PARTICIPANTS_SECRET] }) });
 * ```
 */
export function directCalls(options: DirectCallsOptions): DirectCalls {
  const parsed = options.secrets.map((secret) => (secret === undefined ? undefined : parseWebhookSecret(secret)));
  const problems: ConfigurationProblem[] = [];
  for (const [i, key] of parsed.entries()) {
    if (key !== undefined) continue;
    problems.push({
      path: `calls.secrets[${i}]`,
      expected: '"whsec_" and the base64 of 24 to 64 random bytes',
      found: options.secrets[i] === undefined ? "nothing" : "another text",
      remedy: "Make one: `whsec_${randomBytes(32).toString('base64')}`; the same on every service that takes part.",
    });
  }
  if (parsed.length === 0) {
    problems.push({
      path: "calls.secrets",
      expected: "a secret or several",
      found: "none",
      remedy: "Pass the one that the other services have.",
    });
  }
  return {
    keys: parsed.filter((key) => key !== undefined),
    // Not the function itself: runtimes refuse to call it as a method of another object.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    problems: () => problems,
  };
}
