import { array, constant, constantFrom, nat, oneof, record as struct, tuple } from "fast-check";
import type { Arbitrary } from "fast-check";
import { deduplicationId } from "../../src/model/delivery.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { Verdict } from "../../src/model/states.ts";
import type { LogStore } from "../../src/ports/log-store.ts";
import type { Page, PageOptions } from "../../src/ports/log-reader.ts";
import type { Claim, Mark } from "../../src/ports/transaction-log.ts";
import { redriven, sampleId, sampleLetter, sampleRecord } from "../../src/testing/samples.ts";

/**
 * The lengths of time are chosen so that each of them ends, or none: a Redis that puts back what a stale call touched
 * begins its time to live anew, which no reply tells.
 */
const LEASE = 60_000;
const PAST_LEASE = 120_000;
const RETENTION = 30 * 86_400_000;
const AGES = 400 * 86_400_000;
const WAITS = [0, 1, PAST_LEASE, 500_000] as const;

/** A store, its clock, and the claims that it gave: the same as the other's but for their tokens. */
export interface Side {
  readonly store: LogStore;
  readonly now: () => number;
  readonly claims: Claim[];
}

/** One operation, with numbers that choose among what there is, and how long after the last one it comes. */
export interface Step {
  readonly name: OperationName;
  readonly choices: readonly [number, number, number];
  readonly millis: number;
}

const IDS = [1, 2].map(sampleId);
const EPOCHS = [undefined, "epoch-1", "epoch-2"] as const;
/** Two deliveries of each transaction, one of them with a large body, each in three epochs. */
const RECORDS: readonly DeliveryRecord[] = IDS.flatMap((transactionId, i) =>
  [0, 1].flatMap((index) =>
    EPOCHS.map((epoch) => {
      const body = index === 0 ? '{"n":0}' : `{"text":"${"ä".repeat(4_200)}"}`;
      const record = sampleRecord({ transactionId, index, body, deadlineMillis: WAITS[i]! });
      return epoch === undefined ? record : redriven(record, epoch);
    }),
  ),
);
const VERDICTS: readonly Verdict[] = ["committed", "rolledBack"];
const MARKS: readonly Mark[] = ["half", "published", "doubted"];
const pick = <T>(list: readonly T[], choice: number): T => list[choice % list.length]!;

const runOf = (a: number, b: number) => ({ consumer: "receipt", messageId: `m${a % 2}`, token: `t${b % 2}` });

/** Everything that a store can be asked to do; each resolves to what it tells. */
const OPERATIONS = {
  prepare: ({ store }: Side, a: number, b: number) =>
    store.transactions.prepare(RECORDS.filter((record, i) => record.transactionId === pick(IDS, a) && i % 3 <= b % 2)),
  decide: ({ store, now }: Side, a: number, b: number) =>
    store.transactions.decide(pick(IDS, a), pick(VERDICTS, b), now()),
  decisions: async ({ store }: Side) => Object.fromEntries(await store.transactions.decisions(IDS)),
  record: ({ store }: Side, a: number, b: number, c: number) => {
    const record = pick(RECORDS, a);
    return store.transactions.record([
      c % 5 === 0
        ? { record, settled: true }
        : { record, mark: pick(MARKS, b), attempts: [0, 7, 255, 300][c % 4]!, afterMillis: pick(WAITS, c) },
    ]);
  },
  recordClaim: async ({ store, claims }: Side, a: number, b: number, c: number) => {
    if (claims.length === 0) return;
    const { record, token } = claims[Math.max(0, claims.length - 1 - (a % 6))]!;
    await store.transactions.record([
      c % 3 === 0
        ? { record, token, settled: true }
        : { record, token, mark: pick(MARKS, b), attempts: b, afterMillis: pick(WAITS, c) },
    ]);
  },
  claim: async ({ store, claims, now }: Side, a: number) => {
    const limit = [1, 2, 100][a % 3]!;
    const batch = await store.transactions.claimDue({ limit, leaseMillis: LEASE, now: now() });
    claims.push(...batch.claims);
    return { ...batch, claims: batch.claims.map((claim) => ({ ...claim, token: undefined })) };
  },
  bury: ({ store }: Side, a: number, b: number) =>
    store.deadLetters.bury(
      sampleLetter(pick(RECORDS, a), { detail: `account ${b}`, ...(b % 2 === 0 ? {} : { transportId: `dlq-${b}` }) }),
    ),
  redrive: ({ store }: Side, a: number, b: number) => {
    const { transactionId, index } = pick(RECORDS, a);
    const epochs = RECORDS.filter((record) => record.transactionId === transactionId && record.index === index);
    return store.deadLetters.redrive(sampleLetter(pick(RECORDS, a)), pick(epochs.slice(1), b));
  },
  discard: ({ store }: Side, a: number) => store.deadLetters.discard(sampleLetter(pick(RECORDS, a))),
  hold: ({ store, claims }: Side, a: number) => store.deadLetters.hold(claims.slice(-1 - (a % 4))),
  release: ({ store }: Side, a: number) => store.deadLetters.release(pick(IDS, a)),
  inboxClaim: ({ store }: Side, a: number, b: number) => store.inbox.claim(runOf(a, b), LEASE),
  inboxRenew: ({ store }: Side, a: number, b: number) => store.inbox.renew(runOf(a, b), LEASE),
  inboxComplete: ({ store, now }: Side, a: number, b: number, c: number) =>
    store.inbox.complete(runOf(a, b), {
      outcome: `"${c % 5 === 0 ? "other" : "same"}"`,
      retentionMillis: RETENTION,
      ...(c % 2 === 0 ? {} : { child: { transactionId: pick(IDS, a), at: now() } }),
    }),
  inboxRelease: ({ store }: Side, a: number, b: number) => store.inbox.release(runOf(a, b)),
  inboxLook: ({ store }: Side, a: number) => store.inbox.look(runOf(a, 0)),
  rollBackLapsed: ({ store, now }: Side, a: number, b: number, c: number) =>
    store.inbox.rollBackLapsed(runOf(a, b), { transactionId: pick(IDS, c), at: now() }),
  cleanUp: ({ store, now }: Side) => store.cleanUp({ now: now(), retentionMillis: AGES / 4 }),
  read: async ({ store: { reader } }: Side, a: number, b: number) => ({
    transaction: await reader.transaction(pick(IDS, a)),
    letter: await reader.deadLetter(pick(RECORDS, b).key),
    dead: await pages(reader.listDead, 1 + (b % 3)),
    held: await pages(reader.listHeld, 1 + (b % 3)),
    unsettled: await pages(reader.listUnsettled, 1 + (b % 3)),
    counts: await reader.counts(),
  }),
} satisfies Record<string, (side: Side, a: number, b: number, c: number) => Promise<unknown>>;

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS;

/** Operations that leave records which no sweep has seen, on a Redis. */
const UNSTAMPED: ReadonlySet<OperationName> = new Set(["prepare", "record", "recordClaim", "redrive", "release"]);

/** Does a step. */
export function operate(side: Side, { name, choices }: Step): Promise<unknown> {
  return OPERATIONS[name](side, ...choices);
}

/** Whether a step leaves records which no sweep has seen: a Redis gives them their time when one does. */
export function leavesUnstamped({ name }: Step): boolean {
  return UNSTAMPED.has(name);
}

/** All that people can read of a store. */
export async function readAll(side: Side): Promise<unknown> {
  const reads = IDS.map((_, i) => OPERATIONS.read(side, i, i));
  const letters = RECORDS.filter(({ epoch }) => epoch === undefined).map(({ key }) =>
    side.store.reader.deadLetter(key),
  );
  return Promise.all([...reads, ...letters]);
}

/** Sequences over few ids, so that they meet. */
export const steps: Arbitrary<Step[]> = array(
  struct({
    name: constantFrom(...(Object.keys(OPERATIONS) as OperationName[])),
    choices: tuple(nat(35), nat(35), nat(35)),
    millis: oneof(
      { weight: 12, arbitrary: constant(1) },
      { weight: 3, arbitrary: constant(PAST_LEASE) },
      { weight: 1, arbitrary: constant(AGES) },
    ),
  }),
  { minLength: 1, maxLength: 25, size: "max" },
);

async function pages<T>(list: (page: PageOptions) => Promise<Page<T>>, limit: number): Promise<(readonly T[])[]> {
  const found: (readonly T[])[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<T> = await list({ limit, ...(cursor === undefined ? {} : { cursor }) });
    found.push(page.items);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

/** What tells one record from another. */
export function nameOf(record: DeliveryRecord): string {
  return `${deduplicationId(record)}\n${record.meta}`;
}
