import type { ChannelAddress } from "../../src/model/destination.ts";
import { evalCommand } from "../redis/executor.ts";
import type { RedisExecutor } from "../redis/executor.ts";
import { readEntry } from "./entry.ts";
import type { Entry } from "./entry.ts";
import { GROUP, streamKeys } from "./keys.ts";
import { COUNT, EXTEND, FINISH, LEAVE, OPEN, PROMOTE, PUBLISH, PUT_BACK } from "./scripts.ts";

/** A delivery to be taken over. */
export interface NewEntry {
  readonly deduplicationId: string;
  /** Before which it is not handed out, in milliseconds from now on Redis' clock; 0 for at once. */
  readonly waitMillis: number;
  readonly text: string;
}

/** An entry that was handed out, and how often by now. */
export interface HandedOut {
  readonly entry: Entry;
  readonly deliveries: number;
}

/** How much waits for a subscriber. */
export interface Backlog {
  /** Waits to be handled, or is being handled. */
  readonly ready: number;
  /** Is in workers' hands. */
  readonly pending: number;
  /** Waits for its time: a delay, or the wait before a retry. */
  readonly later: number;
}

/** What waits for one subscriber, and who has it: all of it in one hash slot. */
export interface SubscriberStream {
  /** Takes deliveries over, all or none; whether each was outstanding already. */
  publish(entries: readonly NewEntry[]): Promise<readonly boolean[]>;
  /** Makes the group, and drops workers that hold nothing and have not been seen for so long. */
  open(unseenMillis: number): Promise<void>;
  /** Hands out what is new, up to so many; waits for it where `blockMillis` is given. */
  read(worker: string, most: number, blockMillis?: number): Promise<readonly HandedOut[]>;
  /** Hands out one entry that another worker has had for longer than that, if there is any. */
  reclaim(worker: string, visibilityMillis: number): Promise<HandedOut | undefined>;
  /** When the first of what waits for its time is due, in milliseconds since 1970 on Redis' clock. */
  nextDue(): Promise<number | undefined>;
  /** Moves what is due into the stream; resolves to the milliseconds until more is, if anything is left. */
  promote(): Promise<number | undefined>;
  /** Begins the visibility time of a worker's entries anew; resolves to those that it still has. */
  extend(worker: string, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Puts an entry back, unless another worker has it by now. */
  putBack(worker: string, entry: Entry, how: { readonly used: number; readonly waitMillis: number }): Promise<void>;
  /** Takes entries out for good. */
  finish(entries: readonly Entry[]): Promise<void>;
  /** Drops a worker that holds nothing. */
  leave(worker: string): Promise<void>;
  backlog(): Promise<Backlog>;
}

/** How much becomes due at once, at most. */
const PROMOTED_AT_ONCE = 50;

/** The stream of a subscriber; `blocking` is where reads that wait go. */
export function subscriberStream(
  redis: RedisExecutor,
  namespace: string,
  address: ChannelAddress,
  blocking: RedisExecutor = redis,
): SubscriberStream {
  const { stream, places, later } = streamKeys(namespace, address);
  const run = (script: string, args: readonly string[]): Promise<unknown> =>
    redis.execute(evalCommand(script, [stream, places, later], args));

  return {
    async publish(entries) {
      const args = entries.flatMap(({ deduplicationId, waitMillis, text }) => [
        deduplicationId,
        wholeMillis(waitMillis),
        text,
      ]);
      return numbers(await run(PUBLISH, args)).map((known) => known === 1);
    },

    async open(unseenMillis) {
      await run(OPEN, [GROUP, wholeMillis(unseenMillis)]);
    },

    async read(worker, most, blockMillis) {
      const block = blockMillis === undefined ? [] : ["BLOCK", wholeMillis(blockMillis)];
      const command = ["XREADGROUP", "GROUP", GROUP, worker, "COUNT", String(most), ...block, "STREAMS", stream, ">"];
      const reply = await (blockMillis === undefined ? redis : blocking).execute(command);
      return entriesOf(reply).map((entry) => ({ entry, deliveries: 1 }));
    },

    async reclaim(worker, visibilityMillis) {
      const idle = wholeMillis(visibilityMillis);
      const found = await redis.execute(["XPENDING", stream, GROUP, "IDLE", idle, "-", "+", "1"]);
      const [lapsed] = Array.isArray(found) ? (found as readonly unknown[]) : [];
      if (!Array.isArray(lapsed)) return undefined;
      const [id, , , deliveries] = lapsed as readonly unknown[];
      // Whoever is first resets the time that the entry was idle, and the others get nothing.
      const claimed = await redis.execute(["XCLAIM", stream, GROUP, worker, idle, String(id)]);
      const [entry] = (Array.isArray(claimed) ? (claimed as readonly unknown[]) : []).map(readEntry);
      return entry && { entry, deliveries: Number(deliveries) + 1 };
    },

    async nextDue() {
      const reply = await redis.execute(["ZRANGE", later, "0", "0", "WITHSCORES"]);
      // Nested pairs, or one flat list: as the version of the protocol has it.
      const [, score] = Array.isArray(reply) ? (reply as readonly unknown[]).flat() : [];
      return score === undefined ? undefined : Number(score);
    },

    async promote() {
      const left = Number(await run(PROMOTE, [String(PROMOTED_AT_ONCE)]));
      return left < 0 ? undefined : left;
    },

    async extend(worker, ids) {
      const kept = await run(EXTEND, [GROUP, worker, ...inOrder(ids)]);
      return new Set(Array.isArray(kept) ? kept.map(String) : []);
    },

    async putBack(worker, { id, deduplicationId = "", text }, { used, waitMillis }) {
      await run(PUT_BACK, [GROUP, worker, id, deduplicationId, String(used), wholeMillis(waitMillis), text]);
    },

    async finish(entries) {
      const ids = entries.map(({ id }) => id);
      const known = entries.flatMap(({ deduplicationId }) => deduplicationId ?? []);
      await run(FINISH, [GROUP, String(ids.length), ...ids, ...known]);
    },

    async leave(worker) {
      await run(LEAVE, [GROUP, worker]);
    },

    async backlog() {
      const [ready = 0, pending = 0, waiting = 0] = numbers(await run(COUNT, [GROUP]));
      return { ready, pending, later: waiting };
    },
  };
}

/** Whether an error says that the group is not there: it was never made, or Redis has lost it. */
export function isNoGroup(error: unknown): boolean {
  return error instanceof Error && error.message.includes("NOGROUP");
}

/** Redis takes whole milliseconds. */
function wholeMillis(millis: number): string {
  return String(Math.max(0, Math.round(millis)));
}

function numbers(reply: unknown): number[] {
  return Array.isArray(reply) ? reply.map(Number) : [];
}

/** The entries of one stream: pairs of a stream and its entries, or a map of them, as the version of the protocol has it. */
function entriesOf(reply: unknown): readonly Entry[] {
  if (reply === null || reply === undefined) return [];
  const pairs = reply instanceof Map ? [...reply] : Array.isArray(reply) ? reply : Object.entries(reply);
  const [first, second] = pairs as readonly unknown[];
  const entries = Array.isArray(first) ? (first as readonly unknown[])[1] : second;
  return Array.isArray(entries) ? entries.flatMap((entry) => readEntry(entry) ?? []) : [];
}

/** Ids in the order in which the stream has them. */
function inOrder(ids: readonly string[]): readonly string[] {
  const parts = (id: string): readonly [bigint, bigint] => {
    const [millis = "0", sequence = "0"] = id.split("-");
    return [BigInt(millis), BigInt(sequence)];
  };
  return [...ids].sort((left, right) => {
    const [leftMillis, leftSequence] = parts(left);
    const [rightMillis, rightSequence] = parts(right);
    if (leftMillis !== rightMillis) return leftMillis < rightMillis ? -1 : 1;
    return leftSequence < rightSequence ? -1 : leftSequence > rightSequence ? 1 : 0;
  });
}
