import { CommandError } from "./reply.ts";

/** An entry's id as one number, so that ids compare as numbers do: 64 bits of milliseconds, 64 bits of sequence. */
export type StreamId = bigint;

const HALF = 64n;
const HALF_MAX: bigint = 2n ** 64n - 1n;

/** The id before all others, which no entry has. */
export const NO_ID: StreamId = 0n;
/** The highest id. */
export const LAST_ID: StreamId = 2n ** 128n - 1n;

const PART = /^\d{1,20}$/;

/** An id of its two parts. */
export function streamId(millis: bigint, sequence: bigint): StreamId {
  return (millis << HALF) | sequence;
}

/** The milliseconds of an id. */
export function millisOf(id: StreamId): bigint {
  return id >> HALF;
}

/** The sequence of an id. */
export function sequenceOf(id: StreamId): bigint {
  return id & HALF_MAX;
}

/** An id as Redis prints it. */
export function printId(id: StreamId): string {
  return `${millisOf(id)}-${sequenceOf(id)}`;
}

/** Reads `millis` or `millis-sequence`; `undefined` for anything else. */
export function readId(text: string, missing: "first" | "last" = "first"): StreamId | undefined {
  const dash = text.indexOf("-");
  const millis = readPart(dash < 0 ? text : text.slice(0, dash));
  const rest = dash < 0 ? (missing === "first" ? 0n : HALF_MAX) : readPart(text.slice(dash + 1));
  return millis === undefined || rest === undefined ? undefined : streamId(millis, rest);
}

/** As {@link readId}, but throws for anything else. */
export function parseId(text: string): StreamId {
  const id = readId(text);
  if (id === undefined) throw invalidId();
  return id;
}

/** Reads the end of a range: `-`, `+`, an id, or `(` and an id that is outside. */
export function parseBound(text: string, end: "first" | "last"): StreamId {
  if (text === "-") return NO_ID;
  if (text === "+") return LAST_ID;
  const exclusive = text.length > 1 && text.startsWith("(");
  const id = readId(exclusive ? text.slice(1) : text, end);
  if (id === undefined) throw invalidId();
  if (!exclusive) return id;
  if (id === (end === "first" ? LAST_ID : NO_ID)) {
    throw new CommandError(`ERR invalid ${end === "first" ? "start" : "end"} ID for the interval`);
  }
  return end === "first" ? id + 1n : id - 1n;
}

/** What is no id. */
export function invalidId(): CommandError {
  return new CommandError("ERR Invalid stream ID specified as stream command argument");
}

/** Reads one half of an id. */
export function readPart(text: string): bigint | undefined {
  const value = PART.test(text) ? BigInt(text) : undefined;
  return value === undefined || value > HALF_MAX ? undefined : value;
}
