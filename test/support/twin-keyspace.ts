import { keyspace } from "../../adapters/redis/keys.ts";
import { bodyIdOf, decodeText, decodeLetter, decodeMember, isLarge } from "../../adapters/redis/member.ts";
import { readScore } from "../../adapters/redis/score.ts";
import { readDecision } from "../../adapters/redis/transaction-log.ts";
import type { RedisExecutor } from "../../adapters/redis/index.ts";
import type { Snapshot } from "../../src/memory/index.ts";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { Decision } from "../../src/model/states.ts";
import type { DeadLetter } from "../../src/ports/dead-letters.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { Mark } from "../../src/ports/transaction-log.ts";
import { nameOf } from "./twin-store.ts";

/** All that a store holds, in one form for both: by keys in their order, and nothing that they need not agree about. */
export interface StoreContents {
  readonly due: Record<string, { record: DeliveryRecord; mark: Mark; attempts: number; dueAt: number | undefined }>;
  readonly decisions: Record<string, Decision>;
  readonly held: Record<string, DeliveryRecord>;
  readonly dead: Record<string, DeadLetter>;
  /** In seconds: a Redis store keeps no more. */
  readonly left: Record<string, number>;
  readonly inbox: Record<string, string>;
  /** The keys of large bodies. */
  readonly bodies: readonly string[];
}

/** What is left of the life of an inbox entry, in milliseconds, by its key. */
export type Lives = Readonly<Record<string, number>>;

const keys = keyspace().shards[0]!;
const INBOX = keys.inbox("", "").slice(0, -1);
const INBOX_KEY = /^.*:in:(.*):(.*)$/s;

/** The contents of a memory store, and the lives of its inbox entries. */
export function memoryContents(snapshot: Snapshot, now: number): { contents: StoreContents; lives: Lives } {
  const { due, decisions, held, dead, left, inbox } = snapshot;
  const alive = inbox.filter(([, entry]) => entry.until >= now);
  const inboxKeyOf = (key: string): string => keys.inbox(...(JSON.parse(key) as [string, string]));
  const unsettled = [...due.map(([, entry]) => entry.record), ...held.map(([, record]) => record)];
  const letters = dead.map(([, letter]) => letter.record);
  const bodies = [
    ...unsettled.filter(isLarge).map((record) => keys.body(deduplicationId(record))),
    ...letters.filter(isLarge).map((record) => keys.deadBody(record.key)),
  ];
  return {
    contents: {
      due: sorted(
        due.map(([id, { record, mark, attempts, dueAt }]) => [id, { record, mark, attempts, dueAt }] as const),
      ),
      decisions: sorted(decisions),
      held: sorted(held),
      dead: sorted(dead),
      left: sorted(left.map(([id, at]) => [id, Math.floor(at / 1_000)] as const)),
      inbox: sorted(
        alive.map(([key, entry]) => {
          const text = entry.state === "leased" ? `L${entry.token}` : `D${entry.token} ${entry.outcome}`;
          return [inboxKeyOf(key), text] as const;
        }),
      ),
      bodies: [...new Set(bodies)].sort(),
    },
    lives: Object.fromEntries(alive.map(([key, { until }]) => [inboxKeyOf(key), until - now])),
  };
}

/** The contents of a Redis store that has its Redis for itself, read from its raw keys; a key that it should not have is told. */
export async function redisContents(redis: RedisExecutor): Promise<{ contents: StoreContents; lives: Lives }> {
  const range = (key: string) => redis.execute(["ZRANGE", key, "0", "-1", "WITHSCORES"]).then(pairs);
  const [all, due, decisions, held, dead, left] = await Promise.all([
    redis.execute(["KEYS", "*"]) as Promise<string[]>,
    ...[keys.due, keys.decisions, keys.held, keys.dead, keys.left].map(range),
  ] as const);
  const strings = all.filter((key) => key.startsWith(INBOX) || /:(dead-)?body:/.test(key));
  const sets: string[] = [keys.due, keys.decisions, keys.held, keys.dead, keys.left];
  const strange = all.filter((key) => !strings.includes(key) && !sets.includes(key));
  if (strange.length > 0) throw new Error(`found keys that a store has not: ${strange.join(" ")}`);
  const values = new Map(
    await Promise.all(strings.map(async (key) => [key, String(await redis.execute(["GET", key]))] as const)),
  );
  const inbox = strings.filter((key) => key.startsWith(INBOX) && INBOX_KEY.test(key));
  const recordOf = (member: string): DeliveryRecord => {
    const id = bodyIdOf(member);
    return decodeMember(member, id === undefined ? undefined : decodeText(values.get(keys.body(id))));
  };
  const letterOf = (member: string): DeadLetter => {
    const key = member.slice(0, member.indexOf("\n"));
    return decodeLetter(member, decodeText(values.get(keys.deadBody(key))));
  };
  const lives = await Promise.all(inbox.map(async (key) => [key, Number(await redis.execute(["PTTL", key]))] as const));
  return {
    contents: {
      due: sorted(
        due!.map(([member, score]) => {
          const record = recordOf(member);
          const { mark, attempts, dueAt } = readScore(score);
          return [nameOf(record), { record, mark, attempts, dueAt }] as const;
        }),
      ),
      decisions: sorted(decisions!.map(([id, score]) => [id, readDecision(score)] as const)),
      held: sorted(
        held!.map(([member]) => {
          const record = recordOf(member);
          return [nameOf(record), record] as const;
        }),
      ),
      dead: sorted(
        dead!.map(([member]) => {
          const letter = letterOf(member);
          return [letter.record.key, letter] as const;
        }),
      ),
      left: sorted(left!.map(([id, score]) => [id, score / 1_000] as const)),
      inbox: sorted(inbox.map((key) => [key, values.get(key)!] as const)),
      bodies: strings.filter((key) => !key.startsWith(INBOX)).sort(),
    },
    lives: Object.fromEntries(lives),
  };
}

/** Gives every record that no sweep has seen its time, as the memory store does from the beginning. */
export const STAMP: readonly string[] = [
  "EVAL",
  `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', '0', 'BYSCORE')) do
  local size = -tonumber(redis.call('ZSCORE', KEYS[1], member))
  redis.call('ZADD', KEYS[1], string.format('%.0f', now * 2048 + size), member)
end
`,
  "1",
  keys.due,
];

function pairs(reply: unknown): (readonly [string, number])[] {
  // Nested pairs, or one flat list: as the version of the protocol has it.
  const flat = (reply as (string | string[])[]).flat();
  return flat.flatMap((member, i) => (i % 2 === 0 ? [[member, Number(flat[i + 1])] as const] : []));
}

function sorted<Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
