import { array, constant, constantFrom, nat, oneof, record as struct, tuple } from "fast-check";
import type { Arbitrary } from "fast-check";
import type { DecisionRow, DeliveryResult } from "../../src/model/barrier-row.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import type { Consumed, Database, NewDecision, UnitOutcome } from "../../src/ports/database.ts";
import { sampleId, sampleRecords } from "../../src/testing/samples.ts";

/** Every length is another one, so that no two rows become due at the same moment unless one call made them so. */
const LEASE = 60_011;
const PAST_LEASE = 120_023;
const RETENTION = 3_600_037;
const PAST_RETENTION = 7_200_043;
const WAITS = [0, 3, PAST_LEASE] as const;

/** A database with its clock, and what was read of its rows. */
export interface DatabaseSide {
  readonly database: Pick<Database, "barrier" | "reader" | "inbox" | "write">;
  readonly now: () => number;
  /** Runs a transaction of the user's, as its kind of database has it. */
  run(work: UserWork): Promise<UnitOutcome<unknown>>;
  readonly rows: DecisionRow[];
  /** How many rows one claim or clean-up may take: one, or all. Which ones come first of several is the database's own. */
  readonly limit: number;
}

/** What a transaction of the user's does. */
export interface UserWork {
  readonly text: string;
  readonly consumed: Consumed | undefined;
  readonly decision: NewDecision | undefined;
  /** What the message came to, where the work says so. */
  readonly outcome: string | undefined;
  readonly inSavepoint: "kept" | "undone" | undefined;
  readonly throws: boolean;
}

/** One operation, with numbers that choose among what there is, and how long after the last one it comes. */
export interface DatabaseStep {
  readonly name: DatabaseOperation;
  readonly choices: readonly [number, number, number];
  readonly millis: number;
}

const IDS = [1, 2, 3].map(sampleId);
const SOURCES = ["https://shop.example.com", "https://other.example.com"] as const;
const EPOCHS = [undefined, "epoch-1"] as const;
const pick = <T>(list: readonly T[], choice: number): T => list[choice % list.length]!;
const transactionOf = (a: number) => ({ transactionId: pick(IDS, a), source: SOURCES[a % 3 === 2 ? 1 : 0] });
const claimOf = (a: number, b: number) => ({ consumer: "receipt", messageId: `m${a % 2}`, token: `t${b % 2}` });
const recordsOf = (a: number, count: number, on: "commit" | "rollback"): readonly DeliveryRecord[] =>
  sampleRecords(count, { transactionId: pick(IDS, a), on });

const RESULTS: readonly ((epoch: string | undefined) => DeliveryResult | undefined)[] = [
  () => undefined,
  (epoch) => ({ state: "published", ...(epoch === undefined ? {} : { epoch }) }),
  () => ({ state: "half", epoch: "epoch-1" }),
  () => ({ state: "dead", reason: "failed", detail: "503: busy", buriedAt: 1_800_000_000_000 }),
  (epoch) => ({ state: "discarded", ...(epoch === undefined ? {} : { epoch }) }),
];

const decisionOf = (a: number, b: number, at: number): NewDecision => ({
  ...transactionOf(a),
  records: recordsOf(a, b % 3, "commit"),
  at,
  dueMillis: pick(WAITS, b),
});
const consumedOf = (a: number, b: number, c: number): Consumed => ({
  claim: claimOf(a, b),
  retentionMillis: c % 2 === 0 ? RETENTION : LEASE / 2,
  ...(c % 3 === 0 ? {} : { outcome: `"${c}"` }),
});

/** Rows that were read are kept: a change is made from any of the last few, as it stood then. */
function keep(side: DatabaseSide, rows: readonly DecisionRow[]): void {
  side.rows.push(...byId(rows));
}

/** What of an outcome must be the same in all databases: an error is each one's own. */
function outcomeOf(outcome: UnitOutcome<unknown>): unknown {
  return "error" in outcome ? { ...outcome, error: undefined } : outcome;
}

/** Everything that a database can be asked to do; each resolves to what it tells. */
const OPERATIONS = {
  intend: ({ database, now }: DatabaseSide, a: number, b: number, c: number) =>
    database.barrier.intend({
      ...transactionOf(a),
      sequence: 1 + (b % 4),
      records: recordsOf(a, 1 + (b % 4), "rollback"),
      at: now(),
      dueMillis: pick(WAITS, c),
    }),
  rollBack: async (side: DatabaseSide, a: number, b: number) => {
    const row = await side.database.barrier.rollBack(pick(IDS, a), side.now(), pick(WAITS, b));
    if (row !== undefined) keep(side, [row]);
    return row;
  },
  find: async (side: DatabaseSide, a: number) => {
    const found = await side.database.barrier.find(a % 4 === 0 ? [] : IDS.slice(a % 3));
    keep(
      side,
      [...found.values()].flatMap((entry) => (entry.state === "decided" ? [entry.row] : [])),
    );
    return byId([...found].map(([id, entry]) => ({ id, entry })));
  },
  claimUnsettled: async (side: DatabaseSide, a: number, b: number) => {
    const claim = async () => {
      const claimed = await side.database.barrier.claimUnsettled({
        source: pick(SOURCES, a % 3 === 2 ? 1 : 0),
        limit: side.limit,
        leaseMillis: LEASE,
        token: `sweeper-${side.now()}`,
      });
      keep(side, claimed.decided);
      return { ...claimed, decided: byId(claimed.decided), intended: [...claimed.intended].sort() };
    };
    // The reply was lost, and it is sent again.
    if (side.limit > 1 && b % 3 === 0) await claim();
    return claim();
  },
  settle: async ({ database, rows }: DatabaseSide, a: number, b: number, c: number) => {
    const chosen = [rows.at(-1 - (a % 4)), ...(c % 2 === 0 ? [] : [rows.at(-1 - (b % 5))])];
    const known = chosen.filter((row) => row !== undefined);
    // At most one is settled, so that no two were at the same moment.
    return database.barrier.settle(
      known.map((row, i) => ({
        row,
        results: Object.fromEntries(
          row.records.flatMap(({ key }, n) => {
            const result = pick(RESULTS, b + n + i)(pick(EPOCHS, c));
            return result === undefined ? [] : [[key, result] as const];
          }),
        ),
        settled: i === 0 && c % 3 !== 0,
        dueMillis: pick(WAITS, b + i),
      })),
    );
  },
  cleanUp: ({ database, limit }: DatabaseSide, a: number) =>
    database.barrier.cleanUp({ source: pick(SOURCES, a % 3 === 2 ? 1 : 0), retentionMillis: RETENTION, limit }),
  write: async ({ database, now }: DatabaseSide, a: number, b: number, c: number) =>
    outcomeOf(
      await database.write({
        ...(c % 3 === 0 ? {} : { decision: decisionOf(a, b, now()) }),
        ...(c % 3 === 1 ? {} : { consumed: consumedOf(a, b, c) }),
      }),
    ),
  run: async (side: DatabaseSide, a: number, b: number, c: number) =>
    outcomeOf(
      await side.run({
        text: `text-${a % 5}`,
        consumed: c % 3 === 1 ? undefined : consumedOf(a, b, c),
        decision: c % 4 === 0 ? undefined : decisionOf(b, a, side.now()),
        outcome: c % 5 === 0 ? `"kept-${c}"` : undefined,
        inSavepoint: ([undefined, undefined, "kept", "undone"] as const)[b % 4],
        throws: c % 7 === 6,
      }),
    ),
  inboxClaim: ({ database }: DatabaseSide, a: number, b: number) => database.inbox.claim(claimOf(a, b), LEASE),
  inboxRenew: ({ database }: DatabaseSide, a: number, b: number) => database.inbox.renew(claimOf(a, b), LEASE),
  inboxComplete: ({ database }: DatabaseSide, a: number, b: number, c: number) =>
    database.inbox.complete(claimOf(a, b), {
      outcome: `"${c % 3}"`,
      retentionMillis: c % 2 === 0 ? RETENTION : LEASE / 2,
    }),
  inboxRelease: ({ database }: DatabaseSide, a: number, b: number) => database.inbox.release(claimOf(a, b)),
  inboxLook: ({ database }: DatabaseSide, a: number) => database.inbox.look(claimOf(a, 0)),
  read: async ({ database: { reader } }: DatabaseSide, a: number) => {
    const source = pick(SOURCES, a);
    return {
      dead: (await reader.listDead(source)).items,
      unsettled: byId((await reader.listUnsettled(source)).items),
      counts: await reader.counts(source),
    };
  },
} satisfies Record<string, (side: DatabaseSide, a: number, b: number, c: number) => Promise<unknown>>;

/** The name of an operation. */
export type DatabaseOperation = keyof typeof OPERATIONS;

/** Does a step. */
export function operateOn(side: DatabaseSide, { name, choices }: DatabaseStep): Promise<unknown> {
  return OPERATIONS[name](side, ...choices);
}

/** All that can be told of a database afterwards. */
export async function tellAll(side: DatabaseSide): Promise<unknown> {
  const { barrier, inbox } = side.database;
  return {
    found: byId([...(await barrier.find(IDS))].map(([id, entry]) => ({ id, entry }))),
    read: [await OPERATIONS.read(side, 0), await OPERATIONS.read(side, 1)],
    inbox: [await inbox.look(claimOf(0, 0)), await inbox.look(claimOf(1, 0))],
  };
}

/** Sequences over few ids, so that they meet. */
export const databaseSteps: Arbitrary<DatabaseStep[]> = array(
  struct({
    name: constantFrom(...(Object.keys(OPERATIONS) as DatabaseOperation[])),
    choices: tuple(nat(59), nat(59), nat(59)),
    millis: oneof(
      { weight: 12, arbitrary: constant(10) },
      { weight: 3, arbitrary: constant(PAST_LEASE) },
      { weight: 1, arbitrary: constant(PAST_RETENTION) },
    ),
  }),
  { minLength: 1, maxLength: 30, size: "max" },
);

function byId<T extends { readonly id?: string; readonly transactionId?: string }>(items: readonly T[]): readonly T[] {
  const idOf = (item: T): string => item.id ?? item.transactionId ?? "";
  return [...items].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}
