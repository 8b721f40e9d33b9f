import type { ConfigurationProblem } from "../errors.ts";

/** How services call each other's participants directly: signed with a secret that both have, without a transport. */
export interface DirectCalls {
  /** The keys: what goes out is signed with the first, what comes in may be signed with any. */
  readonly keys: readonly Uint8Array[];
  /** Makes an HTTP request. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** What is wrong with the secrets; empty where nothing is. */
  readonly problems?: () => readonly ConfigurationProblem[];
}
