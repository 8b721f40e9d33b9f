import type { Pool } from "pg";
import { ACCOUNTS, CENTS_EACH } from "./books.ts";
import type { Kill } from "./members.ts";

/** What the books say at one moment. */
export interface Books {
  readonly transfers: readonly {
    readonly id: string;
    readonly transactionId: string;
    readonly boot: string;
    readonly at: number;
  }[];
  readonly effects: readonly {
    readonly consumer: string;
    readonly messageId: string;
    readonly transferId: string;
    readonly at: number;
  }[];
  readonly total: number;
}

/** What contradicts "a message goes out if, and only if, its transaction committed; and its effect happens once". */
export interface Verdicts {
  /** Messages without an effect that nobody looks after: of a committed transfer for each of its two consumers; of one that was rolled back, where it had a message for that. */
  readonly lost: readonly Lost[];
  /** Effects of a message that should not be: of a transfer that is not there, or for the rollback of one that is. */
  readonly phantom: readonly string[];
  /** Effects beyond the first of one consumer for one transfer. */
  readonly doubled: readonly string[];
  /** Whether all money is there. */
  readonly balanced: boolean;
}

/** A message that nobody looks after. */
export interface Lost {
  readonly name: string;
  /** When its transfer was committed, or the message for its rollback was taken; milliseconds since 1970. */
  readonly at: number;
}

/** A message for the rollback of a transfer was taken. */
export interface Registered {
  readonly transactionId: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const CONSUMERS = ["credit", "entry"];

/** Reads the books. */
export async function readBooks(pool: Pool): Promise<Books> {
  const transfers = await pool.query<Books["transfers"][number]>(
    `select id, tx_id as "transactionId", boot, at_millis as at from transfers`,
  );
  const effects = await pool.query<Books["effects"][number]>(
    `select consumer, message_id as "messageId", transfer_id as "transferId", at_millis as at from effects`,
  );
  const total = await pool.query<{ readonly total: string }>("select sum(cents) as total from accounts");
  return { transfers: transfers.rows, effects: effects.rows, total: Number(total.rows[0]!.total) };
}

/**
 * Judges the books; `registered` are the transfers whose messages for a rollback had been taken, with their transactions;
 * `waiting` the transactions that wait for a person, and are not lost by that.
 */
export function judge(
  books: Books,
  registered: ReadonlyMap<string, Registered>,
  waiting: ReadonlySet<string>,
): Verdicts {
  const committed = new Map(books.transfers.map((transfer) => [transfer.id, transfer]));
  const seen = new Set<string>();
  const phantom: string[] = [];
  const doubled: string[] = [];
  for (const { consumer, messageId, transferId } of books.effects) {
    const key = `${consumer} ${transferId}`;
    if (seen.has(key)) doubled.push(`${key} by message ${messageId}`);
    seen.add(key);
    if ((consumer === "refusal") === committed.has(transferId)) phantom.push(`${key} by message ${messageId}`);
  }
  const lost = [...committed.values()]
    .filter(({ transactionId }) => !waiting.has(transactionId))
    .flatMap(({ id, boot, at }) =>
      CONSUMERS.filter((consumer) => !seen.has(`${consumer} ${id}`)).map((consumer): Lost => ({
        name: `${consumer} ${id} of ${boot}`,
        at,
      })),
    );
  for (const [id, { transactionId, at }] of registered) {
    if (!committed.has(id) && !waiting.has(transactionId) && !seen.has(`refusal ${id}`))
      lost.push({ name: `refusal ${id}`, at });
  }
  return { lost, phantom, doubled, balanced: books.total === ACCOUNTS * CENTS_EACH };
}

/** A half message is written before its transfer is committed, by so much at the most. */
const LONGEST_REQUEST_MILLIS = 2_000;
/** A message that is not delivered so long after its transfer was lost by something else. */
const LONGEST_WAY_MILLIS = 60_000;
/** These leave Redis with all that it held. */
const HARMLESS = ["killed"];
export const UNTRACED = "none";

/**
 * How many of the lost messages fell with which kind of loss of Redis: the first that took data after the message was
 * there, in the time that a message takes. {@link UNTRACED} counts those with no such loss.
 */
export function traceLosses(lost: readonly Lost[], kills: readonly Kill[]): Readonly<Record<string, number>> {
  const losses = kills.filter(({ target, how }) => target === "redis" && !HARMLESS.includes(how));
  const inOrder = losses.toSorted((a, b) => a.at - b.at);
  const counts: Record<string, number> = {};
  for (const { at } of lost) {
    const found = inOrder.find((loss) => loss.at >= at - LONGEST_REQUEST_MILLIS && loss.at <= at + LONGEST_WAY_MILLIS);
    const how = found?.how ?? UNTRACED;
    counts[how] = (counts[how] ?? 0) + 1;
  }
  return counts;
}

/** How long one kill took to be made good. */
export interface Recovery {
  /** What was killed. */
  readonly target: string;
  readonly millis: number;
}

/**
 * How long each kill took to be made good: until the last transfer that it cut off was delivered. Cut off are those that
 * were committed and not delivered when it fell; by the killed process where it was a producer's. What was never delivered
 * is not counted here: it is lost. A kill that cut nothing off has no time.
 */
export function recoveryTimes(kills: readonly Kill[], books: Books): readonly Recovery[] {
  const delivered = new Map<string, number>();
  for (const { consumer, transferId, at } of books.effects)
    if (consumer !== "refusal") delivered.set(transferId, Math.max(at, delivered.get(transferId) ?? 0));
  return kills.flatMap(({ at, target, boot }) => {
    const times = books.transfers
      .filter((transfer) => transfer.at <= at && (target !== "producer" || transfer.boot === boot))
      .map(({ id }) => (delivered.get(id) ?? 0) - at)
      .filter((millis) => millis > 0);
    return times.length === 0 ? [] : [{ target, millis: Math.max(...times) }];
  });
}

/** How long each transfer took from its commit to the last of its effects; those that are not delivered are left out. */
export function deliveryTimes({ transfers, effects }: Books): readonly number[] {
  const delivered = new Map<string, { readonly count: number; readonly at: number }>();
  for (const { consumer, transferId, at } of effects) {
    if (consumer === "refusal") continue;
    const known = delivered.get(transferId);
    delivered.set(transferId, { count: (known?.count ?? 0) + 1, at: Math.max(at, known?.at ?? 0) });
  }
  return transfers.flatMap(({ id, at }) => {
    const found = delivered.get(id);
    return found === undefined || found.count < CONSUMERS.length ? [] : [found.at - at];
  });
}

/** The value that a share of all values does not exceed; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
}
