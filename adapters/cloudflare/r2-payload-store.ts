import { ConfigurationError } from "../../src/errors.ts";
import { DURATION_FORM, parseDuration } from "../../src/model/duration.ts";
import type { Duration } from "../../src/model/duration.ts";
import type { PayloadStore } from "../../src/ports/payload-store.ts";

/** A bucket of Cloudflare R2, as a Worker has it among its bindings. */
export interface R2BucketLike {
  /** Keeps an object. */
  put(key: string, value: string): Promise<unknown>;
  /** The object, or `null`. */
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
  /** Drops an object. */
  delete(key: string): Promise<void>;
}

/** How payloads lie in a bucket. */
export interface R2PayloadOptions {
  /** What their keys begin with; the bucket's lifecycle rule goes by it. @default "aftercommit/" */
  readonly prefix?: string;
  /**
   * After how long the bucket's lifecycle rule deletes what is under the prefix: R2 knows no other end of objects. Leave it
   * out where there is no such rule, and what no consumer has deleted stays for good.
   */
  readonly keeps?: Duration;
}

/**
 * A payload store in a bucket of Cloudflare R2. A binding reads what it has written at once, from anywhere.
 *
 * @throws {ConfigurationError} where `keeps` is not a duration.
 * @example
 * ```ts
 * payloads: payloads({ claimCheck: { store: r2Payloads(env.PAYLOADS, { keeps: "90d" }) } }),
 * ```
 */
export function r2Payloads(bucket: R2BucketLike, options: R2PayloadOptions = {}): PayloadStore {
  const { prefix = "aftercommit/", keeps } = options;
  const keepsMillis = keeps === undefined ? undefined : parseDuration(keeps);
  if (keeps !== undefined && keepsMillis === undefined) {
    throw new ConfigurationError([
      {
        path: "r2Payloads.keeps",
        expected: DURATION_FORM,
        found: JSON.stringify(keeps),
        remedy: "Write the days of the bucket's lifecycle rule.",
      },
    ]);
  }
  // To the letter: the object's own text() would drop a byte order mark.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    async put(key, text) {
      await bucket.put(prefix + key, text);
    },
    async get(key) {
      const found = await bucket.get(prefix + key);
      return found === null ? undefined : decoder.decode(await found.arrayBuffer());
    },
    delete: (key) => bucket.delete(prefix + key),
    ...(keepsMillis === undefined ? {} : { keepsMillis }),
  };
}
