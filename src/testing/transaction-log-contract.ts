import type { Decision, Verdict } from "../model/states.ts";
import { MAX_ATTEMPTS } from "../ports/transaction-log.ts";
import type { Claim, ClaimedBatch, DeliveryChange, Mark } from "../ports/transaction-log.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import {
  AT,
  claimAll,
  claimOptions,
  keysOf,
  largeBody,
  LONG,
  PAST_SHORT,
  sampleId,
  sampleRecord,
  sampleRecords,
  SHORT,
  TREACHEROUS_TEXTS,
} from "./samples.ts";
import { withStore } from "./store-under-test.ts";
import type { MakeStore, StoreUnderTest } from "./store-under-test.ts";

/**
 * What every {@link TransactionLog} must do. Each test uses a store of its own; on a real clock they wait for about a
 * second together.
 */
export function transactionLogContract(runner: ContractRunner, make: MakeStore): void {
  const test = (name: string, run: (tested: StoreUnderTest) => Promise<void>): void => {
    runner.test(name, () => withStore(make, run));
  };
  prepares(test);
  decides(test);
  claims(test);
  records(test);
  keepsBodies(test);
  survivesTheUnreadable(runner, make);
}

type Test = (name: string, run: (tested: StoreUnderTest) => Promise<void>) => void;

function prepares(test: Test): void {
  test("a prepared record is not due before its deadline, and is due after it", async (tested) => {
    const { transactions } = tested.store;
    const soon = sampleRecord({ transactionId: sampleId(1), deadlineMillis: SHORT });
    const late = sampleRecord({ transactionId: sampleId(2), deadlineMillis: LONG });
    await transactions.prepare([soon]);
    await transactions.prepare([late]);
    const claimed = [...(await transactions.claimDue(claimOptions())).claims];
    await tested.advance(PAST_SHORT);
    claimed.push(...(await claimAll(tested, 1 - claimed.length)));
    expectEqual(keysOf(claimed), [soon.key], "what is due after the first deadline");
    expectEqual(claimed[0], { ...claimed[0], record: soon, mark: "half", attempts: 0 }, "the claim");
    expectThat(Number.isSafeInteger(claimed[0]!.dueAt), "a claim says in whole milliseconds since when it was due");
  });

  test("a prepare that is sent again adds nothing", async ({ store }) => {
    const records = sampleRecords(3);
    await store.transactions.prepare(records);
    await store.transactions.prepare(records);
    expectEqual((await store.reader.counts()).unsettled, 3, "how many records there are");
  });

  test("a prepare keeps all of its records or none, at any moment that anybody looks", async ({ store }) => {
    const records = sampleRecords(40).map((record, index) =>
      index % 10 === 0 ? sampleRecord({ index, body: largeBody(9_000) }) : record,
    );
    const seen = await Promise.all([
      ...Array.from({ length: 5 }, async () => (await store.reader.counts()).unsettled),
      store.transactions.prepare(records).then(() => records.length),
      ...Array.from({ length: 5 }, async () => (await store.reader.counts()).unsettled),
    ]);
    expectEqual(
      seen.filter((count) => count !== 0 && count !== records.length),
      [],
      "numbers of records in between",
    );
    expectEqual((await store.reader.counts()).unsettled, records.length, "how many records there are");
  });

  test("a prepare that comes again after the settlement does not change the decision", async ({ store }) => {
    const { transactions } = store;
    const record = sampleRecord();
    await transactions.prepare([record]);
    await transactions.decide(record.transactionId, "rolledBack", AT);
    await transactions.record([{ record, settled: true }]);
    await transactions.prepare([record]);
    const standing: Decision = { verdict: "rolledBack", decidedAt: AT };
    const found = await transactions.decisions([record.transactionId]);
    expectEqual(found.get(record.transactionId), standing, "the decision in force");
    expectEqual(await transactions.decide(record.transactionId, "committed", AT + 1), standing, "a later decide");
  });

  test("a prepare that comes again leaves a claim and what was recorded as they are", async (tested) => {
    const { transactions, reader } = tested.store;
    const record = sampleRecord();
    await transactions.prepare([record]);
    await claimAll(tested, 1);
    await transactions.record([{ record, mark: "published", attempts: 2, afterMillis: LONG }]);
    await transactions.prepare([record]);
    expectEqual((await transactions.claimDue(claimOptions())).claims, [], "what is due");
    const [view] = (await reader.listUnsettled()).items;
    expectEqual([view?.mark, view?.attempts], ["published", 2], "mark and attempts");
  });
}

function decides(test: Test): void {
  test("a decision is made once: whoever is second is told the first", async ({ store }) => {
    const first = await store.transactions.decide(sampleId(1), "committed", AT);
    expectEqual(first, { verdict: "committed", decidedAt: AT }, "the first decide");
    expectEqual(await store.transactions.decide(sampleId(1), "rolledBack", AT + 5), first, "the second decide");
    expectEqual(
      await store.transactions.decide(sampleId(2), "rolledBack", AT),
      {
        verdict: "rolledBack",
        decidedAt: AT,
      },
      "the decision of another transaction",
    );
  });

  test("a decide that is sent again is told its own decision", async ({ store }) => {
    const first = await store.transactions.decide(sampleId(1), "rolledBack", AT);
    expectEqual(await store.transactions.decide(sampleId(1), "rolledBack", AT), first, "the second decide");
  });

  test("a hundred who decide at once agree on one verdict, which stays", async ({ store }) => {
    const id = sampleId(1);
    const verdicts: readonly Verdict[] = ["committed", "rolledBack"];
    const found = await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.transactions.decide(id, verdicts[i % 2]!, AT + i)),
    );
    for (const decision of found) expectEqual(decision, found[0], "what each was told");
    expectEqual((await store.transactions.decisions([id])).get(id), found[0], "the decision in force");
    expectEqual(await store.transactions.decide(id, "committed", AT + 1_000), found[0], "a later decide");
  });

  test("decisions are told for those transactions that have one", async ({ store }) => {
    await store.transactions.decide(sampleId(1), "committed", AT);
    await store.transactions.decide(sampleId(2), "rolledBack", AT + 1);
    const found = await store.transactions.decisions([sampleId(1), sampleId(2), sampleId(3)]);
    expectEqual(
      Object.fromEntries(found),
      {
        [sampleId(1)]: { verdict: "committed", decidedAt: AT },
        [sampleId(2)]: { verdict: "rolledBack", decidedAt: AT + 1 },
      },
      "the decisions",
    );
  });
}

function claims(test: Test): void {
  test("a record is leased to one of many sweepers that claim at once", async ({ store }) => {
    await prepareMany(store.transactions.prepare, 120);
    const batches = await Promise.all(
      Array.from({ length: 10 }, () => store.transactions.claimDue(claimOptions({ limit: 20 }))),
    );
    const claimed = batches.flatMap((batch) => batch.claims);
    for (let more = true; more;) {
      const batch = await store.transactions.claimDue(claimOptions({ limit: 20 }));
      claimed.push(...batch.claims);
      more = batch.more;
    }
    expectEqual(keysOf(claimed).length, 120, "how many claims there were");
    expectEqual(new Set(keysOf(claimed)).size, 120, "how many records were claimed");
  });

  test("a claim takes at most its limit and says that there is more, until all are claimed, none twice", async ({
    store,
  }) => {
    await prepareMany(store.transactions.prepare, 25);
    const batches: ClaimedBatch[] = [];
    for (let more = true; more && batches.length < 50;) {
      const batch = await store.transactions.claimDue(claimOptions({ limit: 10 }));
      expectThat(batch.claims.length <= 10, `a claim of at most 10 took ${batch.claims.length}`);
      batches.push(batch);
      more = batch.more;
    }
    expectThat(batches[0]!.more, "the first of several claims says that there is more");
    const claimed = keysOf(batches.flatMap((batch) => batch.claims));
    expectEqual([claimed.length, new Set(claimed).size], [25, 25], "how many claims, of how many records");
  });

  test("a claim that lapsed comes again, with a token that has risen", async (tested) => {
    const { transactions } = tested.store;
    await transactions.prepare([sampleRecord()]);
    const [first] = await claimAll(tested, 1, SHORT);
    await tested.advance(PAST_SHORT);
    const [second] = await claimAll(tested, 1, SHORT);
    await tested.advance(PAST_SHORT);
    const [third] = await claimAll(tested, 1);
    expectEqual(keysOf([second!, third!]), keysOf([first!, first!]), "the records");
    expectThat(first!.token < second!.token && second!.token < third!.token, "each token is higher than the last");
  });

  test("a token rises although the record was due again at once", async (tested) => {
    const { transactions } = tested.store;
    await transactions.prepare([sampleRecord()]);
    const [first] = await claimAll(tested, 1);
    const { record, token } = first!;
    await transactions.record([{ record, token, mark: "half", attempts: 0, afterMillis: 0 }]);
    const [second] = await claimAll(tested, 1);
    expectThat(second!.token > token, "the second token is higher");
  });

  test("nothing is claimed from an empty log", async ({ store }) => {
    const batch = await store.transactions.claimDue(claimOptions());
    expectEqual(batch, { claims: [], more: false, undecodable: [] }, "the batch");
  });
}

function records(test: Test): void {
  test("a stale token changes nothing, whatever it records", async (tested) => {
    const { transactions, reader } = tested.store;
    const records = [sampleRecord({ index: 0 }), sampleRecord({ index: 1, body: largeBody(9_000) })];
    await transactions.prepare(records);
    const stale = await claimAll(tested, 2, SHORT);
    await tested.advance(PAST_SHORT);
    const held = await claimAll(tested, 2);
    await transactions.record(stale.map(settled));
    await transactions.record(stale.map((claim) => ({ ...later(claim), mark: "published", attempts: 9 })));
    expectEqual((await reader.counts()).unsettled, 2, "how many records there are");
    await transactions.record(held.map((claim) => ({ ...later(claim), attempts: 1, afterMillis: 1 })));
    const again = await claimAll(tested, 2);
    expectEqual(keysOf(again), keysOf(records), "what is due again");
    for (const { record, mark, attempts } of again) {
      expectEqual([record, mark, attempts], [records[record.index], "half", 1], "what the holder recorded");
    }
  });

  test("a change without a token applies to a claimed record, whose claim then holds no more", async (tested) => {
    const { transactions, reader } = tested.store;
    const record = sampleRecord();
    await transactions.prepare([record]);
    const [claim] = await claimAll(tested, 1);
    await transactions.record([{ record, mark: "published", attempts: 0, afterMillis: LONG }]);
    await transactions.record([settled(claim!)]);
    const [view] = (await reader.listUnsettled()).items;
    expectEqual(view?.mark, "published", "the mark");
  });

  test("a change never creates a record", async (tested) => {
    const { transactions, reader } = tested.store;
    const [small, large] = [sampleRecord({ index: 0 }), sampleRecord({ index: 1, body: largeBody(9_000) })];
    for (const record of [small, large]) {
      await transactions.record([{ record, mark: "published", attempts: 0, afterMillis: 1 }]);
      await transactions.record([{ record, settled: true }]);
      await transactions.record([{ record, token: 1, mark: "half", attempts: 0, afterMillis: 1 }]);
    }
    expectEqual((await reader.counts()).unsettled, 0, "how many records there are");
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
  });

  test("a record that is sent again changes nothing more", async (tested) => {
    const { transactions, reader } = tested.store;
    const [kept, gone] = sampleRecords(2);
    await transactions.prepare([kept!, gone!]);
    const changes: readonly DeliveryChange[] = [
      { record: kept!, mark: "published", attempts: 3, afterMillis: LONG },
      { record: gone!, settled: true },
    ];
    await transactions.record(changes);
    await transactions.record(changes);
    const { items } = await reader.listUnsettled();
    expectEqual(
      items.map((view) => [view.record, view.mark, view.attempts]),
      [[kept, "published", 3]],
      "what is unsettled",
    );
  });

  test("a claimed change that is sent again changes nothing more, though others claimed the record since", async (tested) => {
    const { transactions } = tested.store;
    await transactions.prepare([sampleRecord()]);
    const [first] = await claimAll(tested, 1);
    const change: DeliveryChange = { ...later(first!), attempts: 1, afterMillis: 1 };
    await transactions.record([change]);
    const [second] = await claimAll(tested, 1);
    await transactions.record([change]);
    expectEqual((await transactions.claimDue(claimOptions())).claims, [], "what is due while the second claim holds");
    await transactions.record([settled(second!)]);
    expectEqual((await tested.store.reader.counts()).unsettled, 0, "how many records there are");
  });

  test("marks and attempts come back as they were recorded, attempts up to their maximum", async (tested) => {
    const { transactions } = tested.store;
    const marks: readonly Mark[] = ["half", "published", "doubted"];
    const cases = [0, 1, 2, 254, MAX_ATTEMPTS, MAX_ATTEMPTS + 45].flatMap((attempts) =>
      marks.map((mark) => ({ mark, attempts })),
    );
    const records = sampleRecords(cases.length);
    await transactions.prepare(records);
    await transactions.record(records.map((record, i) => ({ record, ...cases[i]!, afterMillis: 1 })));
    const claimed = await claimAll(tested, records.length);
    for (const claim of claimed) {
      const { mark, attempts } = cases[claim.record.index]!;
      expectEqual([claim.mark, claim.attempts], [mark, Math.min(attempts, MAX_ATTEMPTS)], claim.record.key);
    }
    expectEqual(keysOf(claimed), keysOf(records), "what was claimed");
  });

  test("a recorded change is due again when its time has come, and not before", async (tested) => {
    const { transactions } = tested.store;
    const [soon, late] = sampleRecords(2);
    await transactions.prepare([soon!, late!]);
    const claimed = await claimAll(tested, 2);
    await transactions.record(
      claimed.map((claim) => ({ ...later(claim), afterMillis: claim.record.index === 0 ? SHORT : LONG })),
    );
    await tested.advance(PAST_SHORT);
    const due = await claimAll(tested, 1);
    await tested.advance(PAST_SHORT);
    due.push(...(await transactions.claimDue(claimOptions())).claims);
    expectEqual(keysOf(due), [soon!.key], "what was due");
  });

  test("claimed changes of many records are recorded in one call", async (tested) => {
    const { transactions, reader } = tested.store;
    await prepareMany(transactions.prepare, 60);
    const claimed = await claimAll(tested, 60);
    await transactions.record(claimed.map((claim, i) => (i % 2 === 0 ? settled(claim) : later(claim))));
    expectEqual((await reader.counts()).unsettled, 30, "how many records are left");
    await transactions.record(claimed.map(settled));
    expectEqual((await reader.counts()).unsettled, 30, "how many are left after the same tokens were used again");
  });
}

function keepsBodies(test: Test): void {
  test("a body comes back to the letter, whatever it looks like", async (tested) => {
    const records = TREACHEROUS_TEXTS.map((body, index) => sampleRecord({ index, body }));
    await tested.store.transactions.prepare(records);
    const claimed = await claimAll(tested, records.length);
    for (const { record } of claimed) expectEqual(record, records[record.index], `body ${record.index}`);
    expectEqual(keysOf(claimed), keysOf(records), "what was claimed");
  });

  test("large bodies are claimed to the letter, and nothing is left of them when they are settled", async (tested) => {
    const { transactions } = tested.store;
    const records = [8_191, 8_192, 8_193, 20_000, 300_000].map((bytes, index) =>
      sampleRecord({ index, body: largeBody(bytes) }),
    );
    await transactions.prepare(records);
    await transactions.prepare(records);
    const claimed = await claimAll(tested, records.length);
    for (const { record } of claimed) expectEqual(record, records[record.index], `body ${record.index}`);
    await transactions.record(claimed.map(settled));
    expectEqual((await tested.store.reader.counts()).unsettled, 0, "how many records are left");
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
  });

  test("large bodies that are settled without a claim leave nothing", async (tested) => {
    const records = [sampleRecord({ index: 0, body: largeBody(9_000) }), sampleRecord({ index: 1 })];
    await tested.store.transactions.prepare(records);
    await tested.store.transactions.record(records.map((record) => ({ record, settled: true })));
    expectEqual((await tested.store.reader.counts()).unsettled, 0, "how many records are left");
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
  });
}

/** Records that no release can read, of every kind of brokenness. */
const UNREADABLE = [
  "garbage",
  "",
  "@",
  "one\n@",
  "one\ntwo\n@nowhere",
  "one\ntwo\n=three",
  'one\n{"v":2}\n={}',
  `${sampleRecord().key}\n{"v":2,"transactionId":"${sampleId(1)}"}\n={}`,
  `${sampleRecord({ index: 7 }).key}\n${sampleRecord({ index: 8 }).meta}\n={}`,
  "\u0000\u00ff\n\n",
];

function survivesTheUnreadable(runner: ContractRunner, make: MakeStore): void {
  runner.test("a record that cannot be read is told of and left, and keeps no other from being claimed", () =>
    withStore(make, async (tested) => {
      if (tested.plant === undefined) return;
      const { transactions, reader } = tested.store;
      for (const raw of UNREADABLE) await tested.plant(raw);
      const records = sampleRecords(5, { transactionId: sampleId(2) });
      await transactions.prepare(records);
      const claimed: Claim[] = [];
      const undecodable: string[] = [];
      for (let round = 0; round < 40 && claimed.length < records.length; round++) {
        const batch = await transactions.claimDue(claimOptions({ limit: 2 }));
        claimed.push(...batch.claims);
        undecodable.push(...batch.undecodable);
      }
      expectEqual(keysOf(claimed), keysOf(records), "what was claimed");
      expectThat(undecodable.length > 0, "unreadable records are told of");
      await transactions.record(claimed.map(settled));
      for (let more = true; more;) {
        const batch = await transactions.claimDue(claimOptions({ limit: 2 }));
        undecodable.push(...batch.undecodable);
        more = batch.more;
      }
      expectEqual(undecodable.length, UNREADABLE.length, "how many were told of, each once");
      expectEqual((await reader.counts()).unsettled, UNREADABLE.length, "how many are left");
      expectEqual((await reader.listUnsettled()).items, [], "what people are shown of them");
    }),
  );
}

/** A record a transaction, over many transactions: a store may spread them. */
async function prepareMany(prepare: StoreUnderTest["store"]["transactions"]["prepare"], count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, i) => prepare([sampleRecord({ transactionId: sampleId(i), index: 0 })])),
  );
}

function settled({ record, token }: Claim): DeliveryChange {
  return { record, token, settled: true };
}

function later({ record, token }: Claim): Extract<DeliveryChange, { mark: unknown }> {
  return { record, token, mark: "half", attempts: 0, afterMillis: LONG };
}
