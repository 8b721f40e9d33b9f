import { type Args1, type Args2, type Args3, type CommandTable, firstKey, type KeyArguments } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { parseInteger } from "../numbers.ts";
import { CommandError, OK, type RedisReply, syntaxError, wrongArity } from "../reply.ts";
import {
  createGroup,
  createStream,
  itemOf,
  type PendingEntry,
  positionOf,
  removeItem,
  type Stream,
  type StreamGroup,
} from "../stream.ts";
import { parseId, printId, type StreamId } from "../stream-id.ts";
import { printEntry, readStream } from "./streams.ts";

const secondKey: KeyArguments = (args) => args.slice(1, 2);

const readKeys: KeyArguments = (args) => {
  const rest = args.slice(args.findIndex((word) => word.toUpperCase() === "STREAMS") + 1);
  return rest.slice(0, rest.length / 2);
};

/** The groups of streams: who reads what. XREADGROUP never waits here, as in a script. */
export const streamGroupCommands: CommandTable = {
  XGROUP: {
    arity: -2,
    write: true,
    keys: secondKey,
    run(db, [word, ...args]: Args1) {
      const subcommand = SUBCOMMANDS[word.toUpperCase()];
      if (subcommand === undefined) throw new CommandError(`ERR unknown subcommand '${word}'. Try XGROUP HELP.`);
      const [least, most] = subcommand.words;
      if (args.length < least || args.length > most) throw wrongArity(`xgroup|${word}`);
      return subcommand.run(db, args);
    },
  },
  XACK: {
    arity: -4,
    write: true,
    keys: firstKey,
    run(db, [key, name, ...words]: Args2) {
      const group = readStream(db, key)?.groups.get(name);
      if (group === undefined) return 0;
      return words.map(parseId).filter((id) => removeItem(group.pending, id)).length;
    },
  },
  XREADGROUP: { arity: -7, write: true, keys: readKeys, run: (db, args) => read(db, args) },
  XINFO: {
    arity: -2,
    keys: secondKey,
    run(db, [word, ...args]: Args1) {
      if (word.toUpperCase() !== "CONSUMERS") {
        throw new CommandError(`ERR unknown subcommand '${word}'. Try XINFO HELP.`);
      }
      const [key, name, ...rest] = args;
      if (key === undefined || name === undefined || rest.length > 0) throw wrongArity(`xinfo|${word}`);
      if (db.get(key) === undefined) throw new CommandError("ERR no such key");
      const group = readStream(db, key)?.groups.get(name);
      if (group === undefined) throw noGroup(key, name);
      return consumersOf(group).map(([consumer, seenAt]): RedisReply => {
        const pending = group.pending.filter((entry) => entry.consumer === consumer).length;
        return ["name", consumer, "pending", pending, "idle", Math.max(0, db.nowMillis() - seenAt)];
      });
    },
  },
};

/** Sees a consumer, and creates it if need be; `false` where it was there. */
export function seeConsumer({ consumers }: StreamGroup, name: string, nowMillis: number): boolean {
  const created = !consumers.has(name);
  consumers.set(name, nowMillis);
  return created;
}

/** The consumers in the order in which Redis lists them. */
export function consumersOf({ consumers }: StreamGroup): readonly (readonly [name: string, seenAtMillis: number])[] {
  return [...consumers].sort(([left], [right]) => (left < right ? -1 : 1));
}

interface Subcommand {
  /** The least and the most words after its name. */
  readonly words: readonly [least: number, most: number];
  run(db: Keyspace, args: readonly string[]): RedisReply;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  CREATE: {
    words: [3, 6],
    run(db, [key, name, idText, ...words]: Args3) {
      const make = readGroupOptions(words, true);
      const present = streamOrNone(db, key, make);
      const stream = present ?? createStream();
      const id = idText === "$" ? stream.lastId : parseId(idText);
      if (stream.groups.has(name)) throw new CommandError("BUSYGROUP Consumer Group name already exists");
      if (present === undefined) db.put(key, { type: "stream", stream });
      stream.groups.set(name, createGroup(id));
      return OK;
    },
  },
  SETID: {
    words: [3, 5],
    run(db, [key, name, idText, ...words]: Args3) {
      readGroupOptions(words, false);
      const { stream, group } = requireGroup(db, key, name);
      group.lastDelivered = idText === "$" ? stream.lastId : parseId(idText);
      return OK;
    },
  },
  DESTROY: {
    words: [2, 2],
    run: (db, [key, name]: Args2) => (requireStream(db, key).groups.delete(name) ? 1 : 0),
  },
  CREATECONSUMER: {
    words: [3, 3],
    run(db, [key, name, consumer]: Args3) {
      const { group } = requireGroup(db, key, name);
      if (group.consumers.has(consumer)) return 0;
      return seeConsumer(group, consumer, db.nowMillis()) ? 1 : 0;
    },
  },
  DELCONSUMER: {
    words: [3, 3],
    run(db, [key, name, consumer]: Args3) {
      const { group } = requireGroup(db, key, name);
      const lost = group.pending.filter((entry) => entry.consumer === consumer);
      for (const { id } of lost) removeItem(group.pending, id);
      group.consumers.delete(consumer);
      return lost.length;
    },
  },
};

/** Whether a stream is to be made where there is none. */
function readGroupOptions(words: readonly string[], makes: boolean): boolean {
  let make = false;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    if (makes && word === "MKSTREAM") make = true;
    else if (word === "ENTRIESREAD" && index + 1 < words.length) {
      if (parseInteger(words[++index]!) < -1)
        throw new CommandError("ERR value for ENTRIESREAD must be positive or -1");
    } else {
      const subcommand = makes ? "CREATE" : "SETID";
      throw new CommandError(
        `ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try XGROUP HELP.`,
      );
    }
  }
  return make;
}

function streamOrNone(db: Keyspace, key: string, missingIsFine: boolean): Stream | undefined {
  const stream = readStream(db, key);
  if (stream !== undefined || missingIsFine) return stream;
  throw new CommandError(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
  );
}

function requireStream(db: Keyspace, key: string): Stream {
  return streamOrNone(db, key, false)!;
}

function requireGroup(db: Keyspace, key: string, name: string): { stream: Stream; group: StreamGroup } {
  const stream = requireStream(db, key);
  const group = stream.groups.get(name);
  if (group === undefined) throw noGroup(key, name);
  return { stream, group };
}

function noGroup(key: string, name: string): CommandError {
  return new CommandError(`NOGROUP No such consumer group '${name}' for key name '${key}'`);
}

interface Reading {
  readonly group: string;
  readonly consumer: string;
  readonly count: number;
  readonly acknowledged: boolean;
  readonly streams: readonly (readonly [key: string, from: string])[];
}

function read(db: Keyspace, args: readonly string[]): RedisReply {
  const reading = readReading(args);
  const found = reading.streams.map(([key, from]) => {
    const stream = readStream(db, key);
    const group = stream?.groups.get(reading.group);
    if (stream === undefined || group === undefined) {
      throw new CommandError(
        `NOGROUP No such key '${key}' or consumer group '${reading.group}' in XREADGROUP with GROUP option`,
      );
    }
    return { key, stream, group, after: from === ">" ? undefined : startOf(from) };
  });
  const replies: RedisReply[] = [];
  for (const { key, stream, group, after } of found) {
    const entries =
      after === undefined ? handOut(db, stream, group, reading) : history(db, stream, group, reading, after);
    if (after === undefined && entries.length === 0) continue;
    // Who finds nothing new is not known by it.
    seeConsumer(group, reading.consumer, db.nowMillis());
    replies.push([key, entries]);
  }
  return replies.length === 0 ? null : replies;
}

function startOf(text: string): StreamId {
  if (text === "$") {
    throw new CommandError(
      "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
    );
  }
  return parseId(text);
}

function readReading(args: readonly string[]): Reading {
  let named: readonly [string, string] | undefined;
  let count = Infinity;
  let acknowledged = false;
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!.toUpperCase();
    const left = args.length - 1 - index;
    if (word === "GROUP" && left >= 2) named = [args[++index]!, args[++index]!];
    else if (word === "COUNT" && left >= 1) count = Math.max(0, parseInteger(args[++index]!)) || Infinity;
    else if (word === "BLOCK" && left >= 1) {
      const timeout = args[++index]!;
      if (!/^-?\d+$/.test(timeout)) throw new CommandError("ERR timeout is not an integer or out of range");
      if (parseInteger(timeout) < 0) throw new CommandError("ERR timeout is negative");
    } else if (word === "NOACK") acknowledged = true;
    else if (word === "STREAMS" && left >= 1) {
      const rest = args.slice(index + 1);
      if (rest.length % 2 !== 0) {
        throw new CommandError(
          "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        );
      }
      if (named === undefined) throw new CommandError("ERR Missing GROUP option for XREADGROUP");
      const half = rest.length / 2;
      const streams = rest.slice(0, half).map((key, i) => [key, rest[half + i]!] as const);
      return { group: named[0], consumer: named[1], count, acknowledged, streams };
    } else throw syntaxError();
  }
  throw syntaxError();
}

/** What nobody of the group has had yet. */
function handOut(
  db: Keyspace,
  { entries }: Stream,
  group: StreamGroup,
  { consumer, count, acknowledged }: Reading,
): readonly RedisReply[] {
  const from = positionOf(entries, group.lastDelivered + 1n);
  const found = entries.slice(from, from + count);
  for (const { id } of found) {
    group.lastDelivered = id;
    if (!acknowledged) putPending(group, { id, consumer, deliveredAtMillis: db.nowMillis(), count: 1 });
  }
  return found.map(printEntry);
}

/** Puts an entry into somebody's hands, whoever had it before. */
export function putPending({ pending }: StreamGroup, entry: PendingEntry): void {
  const position = positionOf(pending, entry.id);
  pending.splice(position, pending[position]?.id === entry.id ? 1 : 0, entry);
}

/** What the consumer has had and not acknowledged. */
function history(
  db: Keyspace,
  { entries }: Stream,
  { pending }: StreamGroup,
  { consumer, count }: Reading,
  after: StreamId,
): readonly RedisReply[] {
  const own = pending.slice(positionOf(pending, after + 1n)).filter((entry) => entry.consumer === consumer);
  return own.slice(0, count).map((held) => {
    const entry = itemOf(entries, held.id);
    if (entry === undefined) return [printId(held.id), null];
    held.deliveredAtMillis = db.nowMillis();
    held.count++;
    return printEntry(entry);
  });
}
