import type { Page, PageOptions } from "../ports/log-reader.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import {
  AT,
  claimAll,
  claimOptions,
  keysOf,
  largeBody,
  LONG,
  redriven,
  sampleId,
  sampleLetter,
  sampleRecord,
  sampleRecords,
} from "./samples.ts";
import { withStore } from "./store-under-test.ts";
import type { MakeStore, StoreUnderTest } from "./store-under-test.ts";

type Test = (name: string, run: (tested: StoreUnderTest) => Promise<void>) => void;

/** What every {@link LogReader} must do, and {@link LogStore.cleanUp} with it. */
export function logReaderContract(runner: ContractRunner, make: MakeStore): void {
  const test: Test = (name, run) => {
    runner.test(name, () => withStore(make, run));
  };
  shows(test);
  lists(test);
  cleansUp(test);
}

function shows(test: Test): void {
  test("a transaction is shown with all that is kept of it, and nothing of another", async (tested) => {
    const { transactions, deadLetters, reader } = tested.store;
    const [id, other] = [sampleId(1), `${sampleId(1)}0`];
    const [unsettled, held, dead] = [
      sampleRecord({ index: 0, body: largeBody(9_000) }),
      sampleRecord({ index: 1 }),
      sampleRecord({ index: 2 }),
    ];
    await transactions.prepare([held, dead]);
    await transactions.prepare([sampleRecord({ transactionId: other })]);
    const claimed = await claimAll(tested, 3);
    await deadLetters.hold(claimed.filter((claim) => claim.record.key === held.key));
    await deadLetters.bury(sampleLetter(dead));
    await transactions.prepare([unsettled]);
    await transactions.record([{ record: unsettled, mark: "published", attempts: 4, afterMillis: LONG }]);
    await transactions.decide(id, "committed", AT);

    const view = await reader.transaction(id);
    expectEqual(view.decision, { verdict: "committed", decidedAt: AT }, "the decision");
    expectEqual(
      view.unsettled.map((found) => [found.record, found.mark, found.attempts]),
      [[unsettled, "published", 4]],
      "what is unsettled",
    );
    expectEqual(view.held, [held], "what is held");
    expectEqual(view.dead, [sampleLetter(dead)], "what is dead");
    expectEqual(keysOf((await reader.transaction(other)).unsettled), [`${other}_0_0123456789abcdef`], "the other one");
  });

  test("a transaction that the log does not know is shown empty, whatever is asked for", async ({ store }) => {
    await store.transactions.prepare([sampleRecord()]);
    for (const id of [sampleId(9), "*", "?", "[a-z0-9]*", "\\", "a\nb"]) {
      const view = await store.reader.transaction(id);
      expectEqual([view.decision, view.unsettled, view.held, view.dead], [undefined, [], [], []], `"${id}"`);
      expectEqual(await store.reader.deadLetter(id), undefined, `the dead letter "${id}"`);
    }
  });

  test("a transaction of many records is shown whole, each record once", async ({ store }) => {
    const records = sampleRecords(300);
    await store.transactions.prepare(records);
    for (let i = 2; i < 6; i++) await store.transactions.prepare(sampleRecords(100, { transactionId: sampleId(i) }));
    expectEqual(keysOf((await store.reader.transaction(sampleId(1))).unsettled), keysOf(records), "what is unsettled");
  });

  test("everything is counted", async (tested) => {
    const { transactions, deadLetters, reader } = tested.store;
    expectEqual(await reader.counts(), { unsettled: 0, held: 0, dead: 0, decisions: 0 }, "an empty log");
    for (let i = 0; i < 6; i++) await transactions.prepare([sampleRecord({ transactionId: sampleId(i) })]);
    const claimed = await claimAll(tested, 6);
    await deadLetters.hold(claimed.slice(0, 2));
    await deadLetters.bury(sampleLetter(claimed[2]!.record));
    await transactions.decide(sampleId(20), "committed", AT);
    await transactions.decide(sampleId(21), "rolledBack", AT);
    expectEqual(await reader.counts(), { unsettled: 3, held: 2, dead: 1, decisions: 2 }, "the counts");
  });
}

function lists(test: Test): void {
  test("dead letters are listed page by page, oldest transaction first, each once", async ({ store }) => {
    const letters = [7, 3, 5, 1, 9].map((n) => sampleLetter(sampleRecord({ transactionId: sampleId(n) })));
    for (const letter of letters) await store.deadLetters.bury(letter);
    const listed = await readPages(store.reader.listDead, 2, 5);
    expectEqual(keysOf(listed), keysOf(letters), "what was listed");
    expectOrder(
      listed.map((letter) => letter.record.transactionId),
      store.shardOf,
    );
    expectEqual(
      listed[0],
      letters.find((letter) => letter.record.key === listed[0]!.record.key),
      "a letter",
    );
  });

  test("held records are listed page by page, oldest transaction first, each once", async (tested) => {
    const { transactions, deadLetters, reader, shardOf } = tested.store;
    const records = [7, 3, 5, 1].map((n) => sampleRecord({ transactionId: sampleId(n) }));
    for (const record of records) await transactions.prepare([record]);
    await deadLetters.hold(await claimAll(tested, 4));
    const listed = await readPages(reader.listHeld, 2, 4);
    expectEqual(keysOf(listed), keysOf(records), "what was listed");
    expectOrder(
      listed.map((record) => record.transactionId),
      shardOf,
    );
  });

  test("unsettled records are listed page by page, soonest due first, each once", async (tested) => {
    const { transactions, reader, shardOf } = tested.store;
    const records = [7, 3, 5, 1, 9].map((n) =>
      sampleRecord({ transactionId: sampleId(n), deadlineMillis: n * LONG, body: largeBody(n * 2_000) }),
    );
    for (const record of records) await transactions.prepare([record]);
    await transactions.claimDue(claimOptions());
    const listed = await readPages(reader.listUnsettled, 2, 5);
    expectEqual(keysOf(listed), keysOf(records), "what was listed");
    expectOrder(
      listed.map((view) => view.record.transactionId),
      shardOf,
    );
    for (const { record, mark, attempts } of listed) {
      const known = records.find((candidate) => candidate.key === record.key);
      expectEqual([record, mark, attempts], [known, "half", 0], record.key);
    }
  });

  test("a list is empty where nothing is, and starts anew at a cursor that it does not know", async ({ store }) => {
    const { reader } = store;
    for (const list of [reader.listDead, reader.listHeld, reader.listUnsettled] as const) {
      expectEqual(await list(), { items: [] }, "an empty list");
    }
    await store.deadLetters.bury(sampleLetter(sampleRecord()));
    expectEqual((await reader.listDead()).items.length, 1, "a list without options");
  });

  test("a page goes on where the one before ended although that is gone meanwhile", async ({ store }) => {
    const letters = [1, 2, 3, 4].map((n) => sampleLetter(sampleRecord({ index: n })));
    for (const letter of letters) await store.deadLetters.bury(letter);
    const first = await store.reader.listDead({ limit: 2 });
    await store.deadLetters.discard(letters[1]!);
    const second = await store.reader.listDead({ limit: 2, cursor: first.cursor! });
    expectEqual(keysOf([...first.items, ...second.items]), keysOf(letters), "what was listed");
  });
}

/** A retention, and a time long after the decisions that a test calls old. */
const RETENTION = 30 * 86_400_000;
const NOW = AT + 100 * 86_400_000;

function cleansUp(test: Test): void {
  test("old decisions are dropped, recent ones are not", async ({ store }) => {
    await store.transactions.decide(sampleId(1), "committed", AT);
    await store.transactions.decide(sampleId(2), "rolledBack", AT);
    await store.transactions.decide(sampleId(3), "committed", NOW - RETENTION + 1_000);
    await store.transactions.decide(sampleId(4), "rolledBack", NOW - RETENTION + 1_000);
    await store.cleanUp({ now: NOW, retentionMillis: RETENTION });
    await store.cleanUp({ now: NOW, retentionMillis: RETENTION });
    const ids = [1, 2, 3, 4].map(sampleId);
    expectEqual([...(await store.transactions.decisions(ids)).keys()].sort(), ids.slice(2), "whose decisions stand");
  });

  test("an old decision stays as long as a record of its transaction is unsettled or held", async (tested) => {
    const { transactions, deadLetters } = tested.store;
    const [unsettled, held, done] = [1, 2, 3].map((n) => sampleRecord({ transactionId: sampleId(n) }));
    for (const record of [unsettled!, held!, done!]) await transactions.prepare([record]);
    const claimed = await claimAll(tested, 3);
    await deadLetters.hold(claimed.filter((claim) => claim.record.key === held!.key));
    await transactions.record([{ record: done!, settled: true }]);
    for (const n of [1, 2, 3]) await transactions.decide(sampleId(n), "committed", AT);
    await tested.store.cleanUp({ now: NOW, retentionMillis: RETENTION });
    const found = await transactions.decisions([1, 2, 3].map(sampleId));
    expectEqual([...found.keys()].sort(), [sampleId(1), sampleId(2)], "whose decisions stand");
  });

  test("nothing but decisions and marks of age is dropped", async (tested) => {
    const { transactions, deadLetters, reader, inbox } = tested.store;
    const [dead, left] = [sampleLetter(sampleRecord({ index: 0 })), sampleLetter(sampleRecord({ index: 1 }))];
    const claim = { consumer: "receipt", messageId: "m1", token: "t1" };
    await inbox.claim(claim, LONG);
    await transactions.prepare([sampleRecord({ index: 2 }), sampleRecord({ index: 3 })]);
    const [toHold] = await claimAll(tested, 2);
    await deadLetters.hold([toHold!]);
    await deadLetters.bury(dead);
    await deadLetters.bury(left);
    await deadLetters.redrive(left, redriven(left.record, "epoch-1"));
    await tested.store.cleanUp({ now: 1_000_000_000_000, retentionMillis: RETENTION });
    expectEqual(await deadLetters.bury(left), "ignored", "a report about a letter that has left lately");
    await tested.store.cleanUp({ now: 4_000_000_000_000, retentionMillis: RETENTION });
    expectEqual(await reader.counts(), { unsettled: 2, held: 1, dead: 1, decisions: 0 }, "the counts");
    expectThat(await inbox.renew(claim, LONG), "the lease holds");
    expectEqual(await deadLetters.bury(left), "buried", "a report about a letter that left long ago");
  });
}

/** Reads a list to its end in pages of `limit`, which must not take more of them than `count` items need. */
async function readPages<T>(
  list: (page?: PageOptions) => Promise<Page<T>>,
  limit: number,
  count: number,
): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | undefined;
  for (let pages = 1; ; pages++) {
    const page: Page<T> = await list({ limit, ...(cursor === undefined ? {} : { cursor }) });
    expectThat(page.items.length <= limit, `a page of at most ${limit} has ${page.items.length}`);
    found.push(...page.items);
    cursor = page.cursor;
    if (cursor === undefined) return found;
    expectThat(pages < Math.ceil(count / limit), "the last page has no cursor");
  }
}

/** The ids rise within each part of the store. */
function expectOrder(ids: readonly string[], shardOf: (id: string) => number): void {
  for (const shard of new Set(ids.map(shardOf))) {
    const own = ids.filter((id) => shardOf(id) === shard);
    expectEqual(own, [...own].sort(), `the order in part ${shard}`);
  }
}
