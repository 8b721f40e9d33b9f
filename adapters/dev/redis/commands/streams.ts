import { type Args1, type Args2, type Args3, type Command, type CommandTable, firstKey } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { parseInteger } from "../numbers.ts";
import { CommandError, type RedisReply, syntaxError, wrongArity } from "../reply.ts";
import { createStream, positionOf, removeItem, type Stream, type StreamEntry } from "../stream.ts";
import {
  invalidId,
  LAST_ID,
  millisOf,
  NO_ID,
  parseBound,
  parseId,
  printId,
  readPart,
  sequenceOf,
  type StreamId,
  streamId,
} from "../stream-id.ts";

/** Streams, but for their groups. What is trimmed approximately on Redis is trimmed exactly here. */
export const streamCommands: CommandTable = {
  XADD: { arity: -5, write: true, keys: firstKey, run: (db, [key, ...words]: Args1) => add(db, key, words) },
  XLEN: { arity: 2, keys: firstKey, run: (db, [key]: Args1) => readStream(db, key)?.entries.length ?? 0 },
  XRANGE: ranging(false),
  XREVRANGE: ranging(true),
  XDEL: {
    arity: -3,
    write: true,
    keys: firstKey,
    run(db, [key, ...words]: Args1) {
      const stream = readStream(db, key);
      if (stream === undefined) return 0;
      return words.map(parseId).filter((id) => removeItem(stream.entries, id)).length;
    },
  },
  XTRIM: {
    arity: -4,
    write: true,
    keys: firstKey,
    run(db, [key, ...words]: Args1) {
      const options = readAddition(words, "xtrim");
      const stream = readStream(db, key);
      return stream === undefined || options.trim === undefined ? 0 : options.trim(stream);
    },
  },
};

/** The stream under a key. */
export function readStream(db: Keyspace, key: string): Stream | undefined {
  return db.read(key, "stream")?.stream;
}

/** An entry as replies have it. */
export function printEntry({ id, fields }: StreamEntry): RedisReply {
  return [printId(id), fields];
}

interface Addition {
  readonly create: boolean;
  readonly trim?: (stream: Stream) => number;
  readonly rest: readonly string[];
}

function add(db: Keyspace, key: string, words: readonly string[]): RedisReply {
  const { create, trim, rest } = readAddition(words, "xadd");
  const [idText = "", ...fields] = rest;
  if (fields.length < 2 || fields.length % 2 !== 0) throw wrongArity("xadd");
  const wanted = readNewId(idText);
  if (wanted.id === NO_ID) throw new CommandError("ERR The ID specified in XADD must be greater than 0-0");
  const present = readStream(db, key);
  if (present === undefined && !create) return null;
  const stream = present ?? createStream();
  if (stream.lastId === LAST_ID) {
    throw new CommandError("ERR The stream has exhausted the last possible ID, unable to add more items");
  }
  const id = newId(stream.lastId, wanted, db.nowMillis());
  if (present === undefined) db.put(key, { type: "stream", stream });
  stream.entries.push({ id, fields });
  stream.lastId = id;
  trim?.(stream);
  return printId(id);
}

/** An id to be given: whole, with its sequence or with both parts left to the stream. */
interface WantedId {
  readonly id?: StreamId;
  readonly millis?: bigint;
}

function readNewId(text: string): WantedId {
  if (text === "*") return {};
  if (!text.endsWith("-*")) return { id: parseId(text) };
  const millis = readPart(text.slice(0, -2));
  if (millis === undefined) throw invalidId();
  return { millis };
}

function newId(lastId: StreamId, { id, millis }: WantedId, nowMillis: number): StreamId {
  const smaller = (): CommandError =>
    new CommandError("ERR The ID specified in XADD is equal or smaller than the target stream top item");
  if (id !== undefined) {
    if (id <= lastId) throw smaller();
    return id;
  }
  if (millis === undefined) {
    const now = BigInt(nowMillis);
    return now > millisOf(lastId) ? streamId(now, 0n) : lastId + 1n;
  }
  if (millis < millisOf(lastId)) throw smaller();
  if (millis > millisOf(lastId)) return streamId(millis, 0n);
  if (sequenceOf(lastId) === sequenceOf(LAST_ID)) throw smaller();
  return lastId + 1n;
}

/** Reads what stands before the id of XADD, or after the key of XTRIM. */
function readAddition(words: readonly string[], command: "xadd" | "xtrim"): Addition {
  let create = true;
  let trim: Addition["trim"];
  let approximate = false;
  let limited = false;
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index]!.toUpperCase();
    const more = index + 1 < words.length;
    if (command === "xadd" && words[index] === "*") break;
    if ((word === "MAXLEN" || word === "MINID") && more) {
      if (trim !== undefined)
        throw new CommandError("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
      const sign = words[index + 1]!;
      if ((sign === "~" || sign === "=") && index + 2 < words.length) {
        approximate = sign === "~";
        index++;
      }
      const threshold = words[++index]!;
      trim = word === "MAXLEN" ? byLength(threshold) : byId(parseId(threshold));
    } else if (word === "LIMIT" && more) {
      if (parseInteger(words[++index]!) < 0) throw new CommandError("ERR The LIMIT argument must be >= 0.");
      limited = true;
    } else if (command === "xadd" && word === "NOMKSTREAM") {
      create = false;
    } else if (command === "xadd") {
      break;
    } else {
      throw syntaxError();
    }
  }
  if (limited && trim === undefined) {
    throw new CommandError("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  }
  if (limited && !approximate) {
    throw new CommandError("ERR syntax error, LIMIT cannot be used without the special ~ option");
  }
  if (command === "xtrim" && trim === undefined) {
    throw new CommandError("ERR syntax error, XTRIM must be called with a trimming strategy");
  }
  return { create, ...(trim === undefined ? {} : { trim }), rest: words.slice(index) };
}

function byLength(text: string): (stream: Stream) => number {
  const most = parseInteger(text);
  if (most < 0) throw new CommandError("ERR The MAXLEN argument must be >= 0.");
  return ({ entries }) => entries.splice(0, Math.max(0, entries.length - most)).length;
}

function byId(least: StreamId): (stream: Stream) => number {
  return ({ entries }) => entries.splice(0, positionOf(entries, least)).length;
}

function ranging(reversed: boolean): Command {
  return {
    arity: -4,
    keys: firstKey,
    run(db, [key, first, second, ...words]: Args3) {
      const [from, to] = reversed ? [second, first] : [first, second];
      // Redis looks at the start first, whichever way round it was given.
      const low = parseBound(from, "first");
      const high = parseBound(to, "last");
      const count = readCount(words);
      const stream = readStream(db, key);
      if (stream === undefined) return [];
      if (count === 0) return null;
      const { entries } = stream;
      const found = entries.slice(positionOf(entries, low), positionOf(entries, high + 1n));
      return (reversed ? found.reverse() : found).slice(0, count).map(printEntry);
    },
  };
}

function readCount(words: readonly string[]): number | undefined {
  let count: number | undefined;
  for (let index = 0; index < words.length; index += 2) {
    const [word, value] = words.slice(index, index + 2) as unknown as Args2;
    if (word.toUpperCase() !== "COUNT" || value === undefined) throw syntaxError();
    count = Math.max(0, parseInteger(value));
  }
  return count;
}
