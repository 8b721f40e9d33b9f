import { type Args2, type Args4, type CommandTable, firstKey } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { parseInteger } from "../numbers.ts";
import { CommandError, type RedisReply, syntaxError } from "../reply.ts";
import { itemOf, type PendingEntry, positionOf, removeItem, type Stream, type StreamGroup } from "../stream.ts";
import { NO_ID, parseBound, parseId, printId, readId, type StreamId } from "../stream-id.ts";
import { consumersOf, putPending, seeConsumer } from "./stream-groups.ts";
import { printEntry, readStream } from "./streams.ts";

/** What the consumers of a group have in their hands. */
export const streamPendingCommands: CommandTable = {
  XPENDING: {
    arity: -3,
    keys: firstKey,
    run(db, [key, name, ...words]: Args2) {
      const query = words.length === 0 ? undefined : readQuery(words);
      const { group } = requireGroup(db, key, name);
      return query === undefined ? summary(group) : listing(db, group, query);
    },
  },
  XCLAIM: {
    arity: -6,
    write: true,
    keys: firstKey,
    run: (db, [key, name, consumer, idle, ...words]: Args4) => claim(db, [key, name, consumer, idle], words),
  },
  XAUTOCLAIM: {
    arity: -6,
    write: true,
    keys: firstKey,
    run: (db, [key, name, consumer, idle, ...words]: Args4) => autoClaim(db, [key, name, consumer, idle], words),
  },
};

function requireGroup(db: Keyspace, key: string, name: string): { stream: Stream; group: StreamGroup } {
  const stream = readStream(db, key);
  const group = stream?.groups.get(name);
  if (stream === undefined || group === undefined) {
    throw new CommandError(`NOGROUP No such key '${key}' or consumer group '${name}'`);
  }
  return { stream, group };
}

interface Query {
  readonly minIdle: number;
  readonly low: StreamId;
  readonly high: StreamId;
  readonly count: number;
  readonly consumer: string | undefined;
}

function readQuery(words: readonly string[]): Query {
  const idle = words[0]!.toUpperCase() === "IDLE" && words.length >= 2;
  const minIdle = idle ? parseInteger(words[1]!) : 0;
  const rest = words.slice(idle ? 2 : 0);
  const [low, high, count, consumer, ...more] = rest;
  if (low === undefined || high === undefined || count === undefined || more.length > 0) throw syntaxError();
  return {
    minIdle,
    count: Math.max(0, parseInteger(count)),
    low: parseBound(low, "first"),
    high: parseBound(high, "last"),
    consumer,
  };
}

function summary(group: StreamGroup): RedisReply {
  const { pending } = group;
  const [first] = pending;
  if (first === undefined) return [0, null, null, null];
  const counts = consumersOf(group)
    .map(([name]) => [name, pending.filter(({ consumer }) => consumer === name).length] as const)
    .filter(([, count]) => count > 0);
  const list = counts.map(([name, count]): RedisReply => [name, String(count)]);
  return [pending.length, printId(first.id), printId(pending.at(-1)!.id), list];
}

function listing(db: Keyspace, { pending }: StreamGroup, query: Query): RedisReply {
  const now = db.nowMillis();
  return pending
    .slice(positionOf(pending, query.low), positionOf(pending, query.high + 1n))
    .map((entry) => ({ ...entry, idle: Math.max(0, now - entry.deliveredAtMillis) }))
    .filter(({ consumer, idle }) => (query.consumer ?? consumer) === consumer && idle >= query.minIdle)
    .slice(0, query.count)
    .map(({ id, consumer, idle, count }) => [printId(id), consumer, idle, count]);
}

function parseIdle(text: string, command: string): number {
  try {
    return Math.max(0, parseInteger(text));
  } catch {
    throw new CommandError(`ERR Invalid min-idle-time argument for ${command}`);
  }
}

interface ClaimOptions {
  deliveredAtMillis: number | undefined;
  count: number | undefined;
  force: boolean;
  justId: boolean;
  lastId: StreamId;
}

function readClaimOptions(words: readonly string[], nowMillis: number): ClaimOptions {
  const options: ClaimOptions = {
    deliveredAtMillis: undefined,
    count: undefined,
    force: false,
    justId: false,
    lastId: NO_ID,
  };
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    const more = index + 1 < words.length;
    if (word === "FORCE") options.force = true;
    else if (word === "JUSTID") options.justId = true;
    else if (word === "IDLE" && more) options.deliveredAtMillis = nowMillis - parseOption(words[++index]!, word);
    else if (word === "TIME" && more) options.deliveredAtMillis = parseOption(words[++index]!, word);
    else if (word === "RETRYCOUNT" && more) options.count = parseOption(words[++index]!, word);
    else if (word === "LASTID" && more) options.lastId = parseId(words[++index]!);
    else throw new CommandError(`ERR Unrecognized XCLAIM option '${words[index]!}'`);
  }
  return options;
}

function parseOption(text: string, option: string): number {
  try {
    return parseInteger(text);
  } catch {
    throw new CommandError(`ERR Invalid ${option} option argument for XCLAIM`);
  }
}

function claim(db: Keyspace, [key, name, consumer, idleText]: Args4, words: readonly string[]): RedisReply {
  const now = db.nowMillis();
  const { stream, group } = requireGroup(db, key, name);
  const minIdle = parseIdle(idleText, "XCLAIM");
  const first = words.findIndex((word) => readId(word) === undefined);
  const ids = (first < 0 ? words : words.slice(0, first)).map(parseId);
  const options = readClaimOptions(first < 0 ? [] : words.slice(first), now);
  if (options.lastId > group.lastDelivered) group.lastDelivered = options.lastId;
  const wanted = options.deliveredAtMillis ?? now;
  const deliveredAtMillis = wanted < 0 || wanted > now ? now : wanted;
  const claimed: RedisReply[] = [];
  for (const id of ids) {
    const entry = itemOf(stream.entries, id);
    const held = itemOf(group.pending, id);
    if (entry === undefined) {
      removeItem(group.pending, id);
      continue;
    }
    if (held === undefined && !options.force) continue;
    if (held !== undefined && minIdle > 0 && now - held.deliveredAtMillis < minIdle) continue;
    seeConsumer(group, consumer, now);
    const count = options.count ?? (held?.count ?? 0) + (options.justId ? 0 : 1);
    putPending(group, { id, consumer, deliveredAtMillis, count });
    claimed.push(options.justId ? printId(id) : printEntry(entry));
  }
  return claimed;
}

const DEFAULT_CLAIMS = 100;
/** Redis looks at so many for each that it may claim. */
const LOOKS_PER_CLAIM = 10;

function autoClaim(db: Keyspace, [key, name, consumer, idleText]: Args4, words: readonly string[]): RedisReply {
  const now = db.nowMillis();
  const minIdle = parseIdle(idleText, "XAUTOCLAIM");
  const start = parseBound(words[0]!, "first");
  const { count, justId } = readAutoClaimOptions(words.slice(1));
  const { stream, group } = requireGroup(db, key, name);
  if (group.consumers.has(consumer)) seeConsumer(group, consumer, now);
  const claimed: RedisReply[] = [];
  const deleted: StreamId[] = [];
  const waiting = group.pending.slice(positionOf(group.pending, start));
  let looked = 0;
  for (; looked < waiting.length && looked < count * LOOKS_PER_CLAIM; looked++) {
    if (claimed.length + deleted.length === count) break;
    const held: PendingEntry = waiting[looked]!;
    const entry = itemOf(stream.entries, held.id);
    if (entry === undefined) {
      removeItem(group.pending, held.id);
      deleted.push(held.id);
      continue;
    }
    if (minIdle > 0 && now - held.deliveredAtMillis < minIdle) continue;
    seeConsumer(group, consumer, now);
    held.consumer = consumer;
    held.deliveredAtMillis = now;
    if (!justId) held.count++;
    claimed.push(justId ? printId(held.id) : printEntry(entry));
  }
  const next = waiting[looked]?.id ?? NO_ID;
  return [printId(next), claimed, deleted.map(printId)];
}

function readAutoClaimOptions(words: readonly string[]): { readonly count: number; readonly justId: boolean } {
  let count = DEFAULT_CLAIMS;
  let justId = false;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    if (word === "JUSTID") justId = true;
    else if (word === "COUNT" && index + 1 < words.length) {
      const text = words[++index]!;
      count = /^[1-9]\d*$/.test(text) ? parseInteger(text) : 0;
      if (count <= 0) throw new CommandError("ERR COUNT must be > 0");
    } else throw syntaxError();
  }
  return { count, justId };
}
