import { utf8Length } from "../model/bytes.ts";
import { deliveryRecord } from "../model/delivery.ts";
import type { DeliveryFacts, DeliveryRecord } from "../model/delivery.ts";
import type { Claim, ClaimOptions } from "../ports/transaction-log.ts";
import type { DeadLetter } from "../ports/dead-letters.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** A lease that does not lapse while a test runs, however slow the machine is. */
export const LONG = 600_000;
/** A lease or wait that a test lets pass: short, as a store on a real clock is really waited for. */
export const SHORT = 25;
/** More than {@link SHORT}, and more than two clocks of one machine differ by. */
export const PAST_SHORT = 40;
/** A time of a decision. */
export const AT = 1_800_000_000_123;

/** A transaction id of the form that ids have; the same for the same number. */
export function sampleId(number: number): string {
  return `019f3b2c-${number.toString(16).padStart(4, "0")}-7abc-8def-0123456789ab`;
}

/** A record that is due at once when it is prepared, but for what is given. */
export function sampleRecord(facts: Partial<DeliveryFacts> & { readonly body?: string } = {}): DeliveryRecord {
  const { transactionId = sampleId(1), index = 0, body = `{"n":${index}}`, ...rest } = facts;
  return deliveryRecord(
    {
      transactionId,
      index,
      destination: "https://shop.example.com/consumers/receipt",
      destinationHash: "0123456789abcdef",
      topic: "order.paid",
      messageId: `${transactionId}_${index}`,
      on: "commit",
      deadlineMillis: 0,
      send: { retries: 3 },
      ...rest,
    },
    body,
  );
}

/** So many records of one transaction. */
export function sampleRecords(count: number, facts: Partial<DeliveryFacts> = {}): DeliveryRecord[] {
  return Array.from({ length: count }, (_, index) => sampleRecord({ ...facts, index }));
}

/** The record of a redrive of a delivery. */
export function redriven(record: DeliveryRecord, epoch: string): DeliveryRecord {
  const { key: _key, meta: _meta, body, ...facts } = record;
  return deliveryRecord({ ...facts, epoch, decidedAt: AT }, body);
}

/** A dead letter of a record. */
export function sampleLetter(record: DeliveryRecord, more: Partial<DeadLetter> = {}): DeadLetter {
  return { record, decidedAt: AT, reason: "failed", detail: "503: busy", status: 503, buriedAt: AT + 1, ...more };
}

/** Claims with a lease that does not lapse; the store's clock decides what is due, the caller's is only a hint. */
export const claimOptions = (options: Partial<ClaimOptions> = {}): ClaimOptions => ({
  limit: 100,
  leaseMillis: LONG,
  now: Date.UTC(2099, 0),
  ...options,
});

/**
 * Claims until `count` records are claimed, letting a little time pass in between: a store may learn only from a first
 * look when a record is due.
 */
export async function claimAll(tested: StoreUnderTest, count: number, leaseMillis: number = LONG): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (let round = 0; round < 20 && claims.length < count; round++) {
    if (round > 0) await tested.advance(5);
    claims.push(...(await tested.store.transactions.claimDue(claimOptions({ leaseMillis }))).claims);
  }
  return claims;
}

/** The keys of records or claims, in order. */
export function keysOf(items: readonly (DeliveryRecord | { readonly record: DeliveryRecord })[]): string[] {
  return items.map((item) => ("record" in item ? item.record.key : item.key)).sort();
}

/** Texts that stores and clients are known to change: other Unicode, and what looks like JSON or like an encoding. */
export const TREACHEROUS_TEXTS: readonly string[] = [
  "",
  "{}",
  "[]",
  "null",
  "true",
  "123",
  "1e400",
  "-0",
  "9007199254740993",
  '"quoted"',
  '{"a":1}',
  " leading and trailing ",
  "line\nbreak\r\nand\ttab",
  "nul\u0000inside",
  "@",
  "=",
  "B",
  "OK",
  "aGVsbG8=",
  "%41 %u0041 \\u0041",
  "grüße, 世界, 🦊, e\u0301, \u202e, \u2028, \ufeff, \uffff",
];

const LETTERS = "grüße 世界 🦊 ";

/** A body of so many bytes, most of them not ASCII: more than a store may want to keep beside its index. */
export function largeBody(bytes: number): string {
  const room = bytes - utf8Length('{"text":""}');
  const times = Math.floor(room / utf8Length(LETTERS));
  return `{"text":"${LETTERS.repeat(times)}${"x".repeat(room - times * utf8Length(LETTERS))}"}`;
}
