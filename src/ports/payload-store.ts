/**
 * Keeps what is too large to travel, until it is fetched or has been kept long enough.
 *
 * Every operation is idempotent. A rejected promise means "not known": the call may have been applied.
 */
export interface PayloadStore {
  /**
   * Keeps a text, of well-formed Unicode, under a key, for at least `keepMillis` from now. What lies there already is replaced, and its time
   * begins anew. Keys consist of letters, digits, `_` and `-`, and are at most 200 long.
   */
  put(key: string, text: string, keepMillis: number): Promise<void>;
  /** The text under a key, to the letter; `undefined` where there is none, or none any more. */
  get(key: string): Promise<string | undefined>;
  /** Drops what lies under a key; one that is not there is fine. */
  delete(key: string): Promise<void>;
  /** How long it keeps anything at most, whatever `put` is told, where something else decides that. */
  readonly keepsMillis?: number;
}
