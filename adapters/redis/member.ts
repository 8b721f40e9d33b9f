import { UndecodableError } from "../../src/errors.ts";
import { utf8Length } from "../../src/model/bytes.ts";
import { decodeRecord, deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { DeadLetter } from "../../src/ports/dead-letters.ts";

/**
 * Records and dead letters as members of sorted sets: lines of text, the delivery's key first, so that a range of keys
 * finds them; then the facts, which hold no line break; then `=` and the body, or `@` and the id under which a large body
 * has a key of its own.
 */
const HERE = "=";
const ELSEWHERE = "@";

/** From how many bytes a body has a key of its own: large members slow the set and fill its 100 MB on Upstash. */
export const LARGE_BODY_BYTES = 8_192;

/** Whether a record's body has a key of its own. */
export function isLarge(record: DeliveryRecord): boolean {
  return (
    record.body.length > LARGE_BODY_BYTES ||
    (record.body.length * 3 > LARGE_BODY_BYTES && utf8Length(record.body) > LARGE_BODY_BYTES)
  );
}

/** The text under which such a body is kept. */
export function encodeBody(record: DeliveryRecord): string {
  return encodeText(record.body);
}

/** A text as it is kept under a key of its own: not JSON, so that no client takes it apart on the way. */
export function encodeText(text: string): string {
  return `B${text}`;
}

/** The text again; `undefined` where there is none. */
export function decodeText(kept: unknown): string | undefined {
  return typeof kept === "string" && kept.startsWith("B") ? kept.slice(1) : undefined;
}

/** The member of a record. */
export function encodeMember(record: DeliveryRecord): string {
  const body = isLarge(record) ? ELSEWHERE + deduplicationId(record) : HERE + record.body;
  return `${record.key}\n${record.meta}\n${body}`;
}

/** A member's parts: its key, its lines of facts, and its body or the id of it. */
export type MemberParts = { readonly key: string; readonly lines: readonly string[] } & (
  | { readonly body: string }
  | { readonly bodyId: string }
);

/** Takes a member apart: its key, `count` lines of facts, its body. */
export function splitMember(member: string, count: number): MemberParts {
  const lines: string[] = [];
  let from = 0;
  for (let i = 0; i <= count; i++) {
    const to = member.indexOf("\n", from);
    if (to < 0) throw undecodable(member);
    lines.push(member.slice(from, to));
    from = to + 1;
  }
  const [key = "", ...facts] = lines;
  const rest = member.slice(from + 1);
  if (member.startsWith(HERE, from)) return { key, lines: facts, body: rest };
  if (member.startsWith(ELSEWHERE, from)) return { key, lines: facts, bodyId: rest };
  throw undecodable(member);
}

/** Under which id the body of a record's member lies elsewhere; `undefined` where it does not, or cannot be read. */
export function bodyIdOf(member: string): string | undefined {
  try {
    const parts = splitMember(member, 1);
    return "bodyId" in parts ? parts.bodyId : undefined;
  } catch {
    return undefined;
  }
}

/** The record of a member, with the body that was fetched for it where it lies elsewhere. */
export function decodeMember(member: string, fetched: string | undefined): DeliveryRecord {
  const parts = splitMember(member, 1);
  const body = "body" in parts ? parts.body : fetched;
  if (body === undefined) throw undecodable(member);
  const record = decodeRecord(parts.lines[0]!, body);
  if (record.key !== parts.key) throw undecodable(member);
  return record;
}

/** The member of a dead letter. */
export function encodeLetter(letter: DeadLetter): string {
  const { record, ...rest } = letter;
  const body = isLarge(record) ? ELSEWHERE + record.key : HERE + record.body;
  return `${record.key}\n${JSON.stringify(rest)}\n${record.meta}\n${body}`;
}

/** The dead letter of a member. */
export function decodeLetter(member: string, fetched: string | undefined): DeadLetter {
  const parts = splitMember(member, 2);
  const body = "body" in parts ? parts.body : fetched;
  if (body === undefined) throw undecodable(member);
  return { ...circumstances(member, parts.lines[0]!), record: decodeRecord(parts.lines[1]!, body) };
}

function circumstances(member: string, line: string): Omit<DeadLetter, "record"> {
  try {
    return JSON.parse(line) as Omit<DeadLetter, "record">;
  } catch {
    throw undecodable(member);
  }
}

function undecodable(member: string): UndecodableError {
  return new UndecodableError(`Expected a record, found ${JSON.stringify(member.slice(0, 80))}.`, {
    hint: "A newer release or another program may have written it; it is left alone.",
  });
}

/** The range of members of one delivery. */
export function rangeOfKey(key: string): readonly [min: string, max: string] {
  return [`[${key}\n`, `(${key}\u000b`];
}

/** The range of members of one transaction: its keys go on with `_`, and the next letter is the backquote. */
export function rangeOfTransaction(transactionId: string): readonly [min: string, max: string] {
  return [`[${transactionId}_`, `(${transactionId}\u0060`];
}
