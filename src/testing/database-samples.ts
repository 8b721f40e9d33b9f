import type { DecisionRow, DeliveryResult } from "../model/barrier-row.ts";
import type { ClaimedRows, ClaimRowsOptions, NewIntent, RowChange } from "../ports/barrier.ts";
import type { Consumed, Isolation, NewDecision, Riders, UnitOutcome, UnitOfWork } from "../ports/database.ts";
import { expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import type { DatabaseUnderTest, MakeDatabase } from "./database-under-test.ts";
import { AT, LONG, sampleId, sampleRecord } from "./samples.ts";

/** The deployment that the rows of a test belong to. */
export const SOURCE = "https://shop.example.com";

/** A decision that is due at once, but for what is given. */
export function newDecision(id: number | string, more: Partial<NewDecision> = {}): NewDecision {
  const transactionId = typeof id === "string" ? id : sampleId(id);
  const records = [sampleRecord({ transactionId, deadlineMillis: LONG })];
  return { transactionId, source: SOURCE, records, at: AT, dueMillis: 0, ...more };
}

/** An intent of that number that is due at once, but for what is given. */
export function newIntent(id: number | string, sequence = 1, more: Partial<NewIntent> = {}): NewIntent {
  const transactionId = typeof id === "string" ? id : sampleId(id);
  const body = `{"cancel":${sequence}}`;
  const records = [sampleRecord({ transactionId, deadlineMillis: LONG, on: "rollback", body })];
  return { transactionId, sequence, source: SOURCE, records, at: AT, dueMillis: 0, ...more };
}

/** A run of a message that is done by a transaction. */
export function newConsumed(token = "first", more: Partial<Consumed> = {}): Consumed {
  return { claim: { consumer: "receipt", messageId: "m1", token }, retentionMillis: LONG, ...more };
}

let tokens = 0;

/** Claims what is due of the test's source, with a lease that does not lapse. */
export function claimRows(
  { database }: Pick<DatabaseUnderTest, "database">,
  options: Partial<ClaimRowsOptions> = {},
): Promise<ClaimedRows> {
  return database.barrier.claimUnsettled({
    source: SOURCE,
    limit: 100,
    leaseMillis: LONG,
    token: `sweeper-${++tokens}`,
    ...options,
  });
}

/** The ids in what was claimed, in order. */
export function claimedIds({ decided, intended, undecodable }: ClaimedRows): string[] {
  return [...decided.map(({ transactionId }) => transactionId), ...intended, ...undecodable].sort();
}

/** The decision of a transaction, as another process finds it. */
export async function decisionOf(
  { other }: Pick<DatabaseUnderTest, "other">,
  id: number,
): Promise<DecisionRow | undefined> {
  const found = (await other.barrier.find([sampleId(id)])).get(sampleId(id));
  return found?.state === "decided" ? found.row : undefined;
}

/** A delivery that the transport took over. */
export const PUBLISHED: DeliveryResult = { state: "published" };

/** Everything of a row was published. */
export function settled(row: DecisionRow): RowChange {
  const results = Object.fromEntries(row.records.map(({ key }) => [key, PUBLISHED]));
  return { row, results, settled: true, dueMillis: 0 };
}

/** Runs a transaction of the user's that inserts these texts, with our rows around them. */
export type Commit = (
  texts: readonly string[],
  riders?: Riders,
  through?: "database" | "other",
) => Promise<UnitOutcome<unknown>>;

/** Every way in which the user's transactions run on a database. */
export function waysOf(tested: DatabaseUnderTest): readonly Commit[] {
  const { insert, insertStatement } = tested;
  const ways: Commit[] = [];
  if (tested.database.run !== undefined && insert !== undefined) {
    ways.push((texts, { consumed, decision } = {}, through = "database") =>
      tested[through].run!(async (unit: UnitOfWork<unknown>) => {
        if (consumed !== undefined) await unit.consume(consumed);
        for (const text of texts) await insert(unit.sql, text);
        if (decision !== undefined) await unit.decide(decision);
      }),
    );
  }
  if (tested.database.batch !== undefined && insertStatement !== undefined) {
    ways.push((texts, riders = {}, through = "database") =>
      tested[through].batch!(
        texts.map((text) => insertStatement(text)),
        riders,
      ),
    );
  }
  return ways;
}

/** Registers a test that gets a database of its own. */
export type Test = (name: string, run: (tested: DatabaseUnderTest) => Promise<void>) => void;

/** Registers a test that is run once for each way, each time with a database of its own. */
export type WayTest = (name: string, run: (tested: DatabaseUnderTest, commit: Commit) => Promise<void>) => void;

/** Runs a transaction that stays open while code runs, with the insert of the test's own texts at hand. */
export type Run = <T>(
  work: (unit: UnitOfWork<unknown>, insert: (text: string) => Promise<void>) => Promise<T>,
  isolation?: Isolation,
) => Promise<UnitOutcome<T>>;

/** Registers a test for databases whose transactions stay open while code runs. */
export type RunTest = (name: string, run: (tested: DatabaseUnderTest, run: Run) => Promise<void>) => void;

/** Registers tests with a framework. */
export function testsOf(
  runner: ContractRunner,
  make: MakeDatabase,
): { test: Test; eachWay: WayTest; runTest: RunTest } {
  const withDatabase = async <T>(run: (tested: DatabaseUnderTest) => Promise<T>): Promise<T> => {
    const tested = await make();
    try {
      return await run(tested);
    } finally {
      await tested.dispose();
    }
  };
  return {
    test: (name, run) => runner.test(name, () => withDatabase(run)),
    runTest: (name, body) =>
      runner.test(name, () =>
        withDatabase(async (tested) => {
          const { database, insert } = tested;
          if (database.run === undefined || insert === undefined) return;
          await body(tested, (work, isolation) =>
            database.run!(
              (unit) => work(unit, (text) => insert(unit.sql, text)),
              isolation === undefined ? {} : { isolation },
            ),
          );
        }),
      ),
    eachWay: (name, run) =>
      runner.test(name, async () => {
        let count = 1;
        for (let i = 0; i < count; i++) {
          await withDatabase(async (tested) => {
            const ways = waysOf(tested);
            expectThat(ways.length > 0, "a database needs `run` and `insert`, or `batch` and `insertStatement`");
            count = ways.length;
            await run(tested, ways[i]!);
          });
        }
      }),
  };
}

/** A promise, and what fulfils it. */
export function signal(): { readonly given: Promise<void>; give(): void } {
  let give!: () => void;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}
