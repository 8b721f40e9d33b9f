import type { Context } from "hono";
import type { Databases } from "../core/database-types.ts";
import type { Settings } from "../core/settings.ts";
import { ConfigurationError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import { DURATION_FORM, formatDuration, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import type { MaybePromise } from "../ports/crypto.ts";
import type { TransactionOptions } from "../middleware/transaction.ts";
import { DEFAULT_BODY_LIMIT_BYTES } from "../middleware/options.ts";

/**
 * How a route's callers name their requests, and how its transactions are decided: `database`, `check` and the others are
 * those of `ac.transaction()`, and the same where both are mounted.
 */
export interface IdempotencyOptions<All extends Databases = Databases> extends TransactionOptions<All> {
  /** The caller: two callers may use the same key. From what authenticates them, never from what they say of themselves. */
  readonly scope: (c: Context) => MaybePromise<string>;
  /** Refuses requests without a key, with 400. @default false */
  readonly required?: boolean;
  /**
   * Answers for a request that was committed, and whose own answer was not kept: its process died, or the answer was too
   * large. Reads what the transaction wrote, by its id. Without it the caller gets 409 with that id.
   */
  readonly onReplay?: (c: Context, transactionId: string) => MaybePromise<Response>;
  /** How long a request's answer is kept, and its key remembered, at least. @default "24h" */
  readonly retention?: Duration;
  /** Takes `Idempotency-Key: 8e03978e` as well, without the quotes that the draft asks for; many clients send it so. @default false */
  readonly acceptUnquoted?: boolean;
  /** The largest request body, in bytes; it is read to be compared. @default DEFAULT_PAYLOAD_LIMIT_BYTES */
  readonly payloadLimit?: number;
  /** What makes two requests the same one, as a text; `body` is what was sent. @default method, path, query, content type and body */
  readonly payload?: (c: Context, body: Uint8Array) => MaybePromise<string>;
  /** The largest answer that is kept, in bytes of its body. @default DEFAULT_KEPT_BODY_LIMIT_BYTES */
  readonly keptBodyLimit?: number;
  /** Which of an answer's headers are kept, by the name in lower case; those of the connection never are. @default all but set-cookie */
  readonly keepHeader?: (name: string) => boolean;
  /**
   * Which refusals (400 to 499, nothing committed) are kept and given again, as a card that was declined for good. Others
   * leave the key free: the same request runs anew. @default none
   */
  readonly keepRefusal?: (c: Context) => boolean;
}

/** The header by which a caller names a request. */
export const IDEMPOTENCY_KEY_HEADER = "Idempotency-Key";
/** The longest key, in characters. */
export const MAX_KEY_LENGTH = 255;
/** A day. */
export const DEFAULT_RETENTION_MILLIS = 86_400_000;
/** As much as a consumer reads. */
export const DEFAULT_PAYLOAD_LIMIT_BYTES: number = DEFAULT_BODY_LIMIT_BYTES;
/** Answers larger than that are not kept. */
export const DEFAULT_KEPT_BODY_LIMIT_BYTES = 65_536;

/** Options with their numbers resolved. */
export interface ResolvedOptions extends Omit<IdempotencyOptions, "retention" | "payloadLimit" | "keptBodyLimit"> {
  readonly retentionMillis: number;
  readonly payloadLimit: number;
  readonly keptBodyLimit: number;
}

/**
 * Checks the options.
 *
 * @throws {ConfigurationError} with every problem at once.
 */
export function resolved(options: IdempotencyOptions): ResolvedOptions {
  const problems: ConfigurationProblem[] = [];
  const { retention = DEFAULT_RETENTION_MILLIS } = options;
  const retentionMillis = parseDuration(retention) ?? 0;
  if (retentionMillis <= 0) {
    problems.push({
      path: "idempotencyKey.retention",
      expected: DURATION_FORM,
      found: JSON.stringify(retention),
      remedy: "Write number and unit together.",
    });
  }
  const bytes = (name: "payloadLimit" | "keptBodyLimit", fallback: number): number => {
    const value = options[name] ?? fallback;
    if (!(Number.isInteger(value) && value >= 0 && value <= 100_000_000)) {
      problems.push({
        path: `idempotencyKey.${name}`,
        expected: "a whole number from 0 to 100000000",
        found: String(value),
        remedy: `Leave it out for ${fallback}.`,
      });
    }
    return value;
  };
  const payloadLimit = bytes("payloadLimit", DEFAULT_PAYLOAD_LIMIT_BYTES);
  const keptBodyLimit = bytes("keptBodyLimit", DEFAULT_KEPT_BODY_LIMIT_BYTES);
  if (typeof options.scope !== "function") {
    problems.push({
      path: "idempotencyKey.scope",
      expected: "a function that names the caller",
      found: typeof options.scope,
      remedy: "Return the id of whoever was authenticated; one constant where there is a single caller.",
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { ...options, retentionMillis, payloadLimit, keptBodyLimit };
}

/**
 * Compares what depends on the service with its settings.
 *
 * @throws {ConfigurationError} where a key would be remembered longer than what became of its transaction.
 */
export function requireDecisions({ retentionMillis }: ResolvedOptions, { decisionRetentionMillis }: Settings): void {
  if (retentionMillis <= decisionRetentionMillis) return;
  throw new ConfigurationError([
    {
      path: "idempotencyKey.retention",
      expected: `at most ${formatDuration(decisionRetentionMillis)} (recovery.decisionRetention: a key must find what became of its transaction)`,
      found: formatDuration(retentionMillis),
      remedy: "Shorten it, or lengthen recovery.decisionRetention.",
    },
  ]);
}

/** The caller of a request. */
export async function scopeOf(c: Context, { scope }: ResolvedOptions): Promise<string> {
  const found: unknown = await scope(c);
  if (typeof found === "string" && found !== "") return found;
  throw new ConfigurationError([
    {
      path: "idempotencyKey.scope",
      expected: "a text that names the caller",
      found: found === "" ? "an empty one" : typeof found,
      remedy: "Mount idempotencyKey() after what authenticates the caller.",
    },
  ]);
}
