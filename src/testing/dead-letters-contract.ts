import type { DeadLetter } from "../ports/dead-letters.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import {
  AT,
  claimAll,
  claimOptions,
  keysOf,
  largeBody,
  PAST_SHORT,
  redriven,
  sampleId,
  sampleLetter,
  sampleRecord,
  sampleRecords,
  SHORT,
  TREACHEROUS_TEXTS,
} from "./samples.ts";
import { withStore } from "./store-under-test.ts";
import type { MakeStore, StoreUnderTest } from "./store-under-test.ts";

type Test = (name: string, run: (tested: StoreUnderTest) => Promise<void>) => void;

/** What every {@link DeadLetters} must do. */
export function deadLettersContract(runner: ContractRunner, make: MakeStore): void {
  const test: Test = (name, run) => {
    runner.test(name, () => withStore(make, run));
  };
  buries(test);
  redrives(test);
  discards(test);
  holds(test);
}

function buries(test: Test): void {
  test("a buried delivery is a dead letter and no longer due", async ({ store }) => {
    const record = sampleRecord();
    await store.transactions.prepare([record]);
    const letter = sampleLetter(record, { transportId: "dlq-1" });
    expectEqual(await store.deadLetters.bury(letter), "buried", "the answer");
    expectEqual(await store.reader.deadLetter(record.key), letter, "the letter");
    const { unsettled, dead } = await store.reader.counts();
    expectEqual([unsettled, dead], [0, 1], "how many are unsettled and dead");
  });

  test("a delivery that the log does not know is buried too", async ({ store }) => {
    const { status: _, ...letter } = sampleLetter(sampleRecord({ body: largeBody(9_000) }), { reason: "refused" });
    expectEqual(await store.deadLetters.bury(letter), "buried", "the answer");
    expectEqual(await store.reader.deadLetter(letter.record.key), letter, "the letter");
  });

  test("the account that has the transport's id takes the place of a failure that has none, and of nothing else", async ({
    store,
  }) => {
    for (const [i, reason] of (["failed", "refused", "conflict"] as const).entries()) {
      for (const body of [undefined, largeBody(9_000)]) {
        const id = sampleId(i * 2 + (body === undefined ? 0 : 1));
        const record = sampleRecord({ transactionId: id, ...(body === undefined ? {} : { body }) });
        const ours = sampleLetter(record, { reason, detail: '"transportId": "reason":"failed"' });
        const told = sampleLetter(record, { detail: "418: short and stout", transportId: "dlq-1" });
        for (const letter of [ours, told, ours]) await store.deadLetters.bury(letter);
        const expected = reason === "failed" ? told : ours;
        expectEqual(await store.reader.deadLetter(record.key), expected, `the letter of what was ${reason}`);
        await store.deadLetters.bury({ ...told, transportId: "dlq-2" });
        expectEqual(
          await store.reader.deadLetter(record.key),
          expected,
          `the letter of what was ${reason}, told again`,
        );
      }
    }
    expectEqual((await store.reader.counts()).dead, 6, "how many are dead");
  });

  test("a delivery that is dead already stays as it was first recorded", async ({ store }) => {
    const first = sampleLetter(sampleRecord());
    const second: DeadLetter = { ...first, reason: "conflict", detail: "another account", buriedAt: AT + 99 };
    await store.deadLetters.bury(first);
    expectEqual(await store.deadLetters.bury(first), "buried", "the same letter again");
    expectEqual(await store.deadLetters.bury(second), "buried", "another letter of the delivery");
    expectEqual(await store.reader.deadLetter(first.record.key), first, "the letter");
    expectEqual((await store.reader.counts()).dead, 1, "how many are dead");
  });

  test("a held delivery that is buried is held no longer", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    const record = sampleRecord({ body: largeBody(9_000) });
    await transactions.prepare([record]);
    await deadLetters.hold(await claimAll(tested, 1));
    await deadLetters.bury(sampleLetter(record, { reason: "conflict" }));
    const { held, dead } = await reader.counts();
    expectEqual([held, dead], [0, 1], "how many are held and dead");
    expectEqual(await deadLetters.release(record.transactionId), 0, "how many a release brings back");
  });

  test("letters come back to the letter, whatever they tell", async ({ store }) => {
    const letters = TREACHEROUS_TEXTS.map((text, index) =>
      sampleLetter(sampleRecord({ index, body: text }), { detail: text, transportId: text }),
    );
    for (const letter of letters) await store.deadLetters.bury(letter);
    for (const letter of letters) expectEqual(await store.reader.deadLetter(letter.record.key), letter, "the letter");
  });

  test("deliveries to two destinations of one message are buried apart", async ({ store }) => {
    const [here, there] = ["0123456789abcdef", "fedcba9876543210"].map((destinationHash) =>
      sampleLetter(sampleRecord({ destinationHash })),
    );
    await store.deadLetters.bury(here!);
    expectEqual(await store.reader.deadLetter(there!.record.key), undefined, "the other delivery");
    await store.deadLetters.bury(there!);
    expectEqual((await store.reader.counts()).dead, 2, "how many are dead");
  });
}

function redrives(test: Test): void {
  test("a redrive puts the new epoch in place of the letter, due at once", async (tested) => {
    const { deadLetters, reader } = tested.store;
    const letter = sampleLetter(sampleRecord());
    await deadLetters.bury(letter);
    const next = redriven(letter.record, "epoch-1");
    expectEqual(await deadLetters.redrive(letter, next), true, "the answer");
    expectEqual(await reader.deadLetter(letter.record.key), undefined, "the letter");
    const [claim] = await claimAll(tested, 1);
    expectEqual(claim?.record, next, "what is due");
    expectEqual([claim?.mark, claim?.attempts], ["half", 0], "mark and attempts");
  });

  test("a redrive that is sent again answers as before and adds nothing", async ({ store }) => {
    const letter = sampleLetter(sampleRecord());
    await store.deadLetters.bury(letter);
    const next = redriven(letter.record, "epoch-1");
    await store.deadLetters.redrive(letter, next);
    expectEqual(await store.deadLetters.redrive(letter, next), true, "the answer");
    expectEqual((await store.reader.counts()).unsettled, 1, "how many are unsettled");
  });

  test("of two who redrive at once one does, and the other is told that the letter is gone", async ({ store }) => {
    const letter = sampleLetter(sampleRecord());
    await store.deadLetters.bury(letter);
    const answers = await Promise.all(
      ["epoch-1", "epoch-2"].map((epoch) => store.deadLetters.redrive(letter, redriven(letter.record, epoch))),
    );
    expectEqual(answers.filter(Boolean).length, 1, "how many did");
    expectEqual((await store.reader.counts()).unsettled, 1, "how many are unsettled");
  });

  test("a redrive of what is not dead does nothing", async ({ store }) => {
    const letter = sampleLetter(sampleRecord());
    expectEqual(await store.deadLetters.redrive(letter, redriven(letter.record, "epoch-1")), false, "the answer");
    expectEqual((await store.reader.counts()).unsettled, 0, "how many are unsettled");
  });

  test("a late report about an epoch that was redriven is ignored, one about the new epoch is not", async ({
    store,
  }) => {
    const first = sampleLetter(sampleRecord());
    await store.deadLetters.bury(first);
    const next = redriven(first.record, "epoch-1");
    await store.deadLetters.redrive(first, next);
    expectEqual(await store.deadLetters.bury(first), "ignored", "the old epoch again");
    const second = sampleLetter(next, { detail: "still busy" });
    expectEqual(await store.deadLetters.bury(second), "buried", "the new epoch");
    expectEqual(await store.reader.deadLetter(next.key), second, "the letter");
    expectEqual(
      await store.deadLetters.redrive(first, redriven(next, "epoch-2")),
      false,
      "a redrive of the old letter",
    );
    const { unsettled, dead } = await store.reader.counts();
    expectEqual([unsettled, dead], [0, 1], "how many are unsettled and dead");
  });

  test("a large body survives from prepare to redrive, and nothing is left of it at the end", async (tested) => {
    const { transactions, deadLetters, reader } = tested.store;
    const record = sampleRecord({ body: largeBody(300_000) });
    await transactions.prepare([record]);
    const [claim] = await claimAll(tested, 1);
    await transactions.record([{ ...claim!, mark: "published", attempts: 0, afterMillis: 1 }]);
    const [confirmed] = await claimAll(tested, 1);
    expectEqual(confirmed?.record, record, "the published record");
    const letter = sampleLetter(record);
    await deadLetters.bury(letter);
    expectEqual(await reader.deadLetter(record.key), letter, "the letter");
    const next = redriven(record, "epoch-1");
    await deadLetters.redrive(letter, next);
    const [again] = await claimAll(tested, 1);
    expectEqual(again?.record, next, "the redriven record");
    await transactions.record([{ record: next, token: again!.token, settled: true }]);
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
  });

  test("the body of a redriven delivery stays although its old record is settled late", async (tested) => {
    const { transactions, deadLetters } = tested.store;
    const record = sampleRecord({ body: largeBody(20_000) });
    const letter = sampleLetter(record);
    await deadLetters.bury(letter);
    const next = redriven(record, "epoch-1");
    await deadLetters.redrive(letter, next);
    await transactions.prepare([record]);
    await transactions.record([{ record, settled: true }]);
    expectEqual(
      (await claimAll(tested, 1)).map((claim) => claim.record),
      [next],
      "what is due",
    );
  });
}

function discards(test: Test): void {
  test("a discarded letter is gone, and a late report about it is ignored", async (tested) => {
    const { deadLetters, reader } = tested.store;
    const letter = sampleLetter(sampleRecord({ body: largeBody(9_000) }));
    await deadLetters.bury(letter);
    expectEqual(await deadLetters.discard(letter), true, "the answer");
    expectEqual(await reader.deadLetter(letter.record.key), undefined, "the letter");
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
    expectEqual(await deadLetters.discard(letter), false, "a discard of what is gone");
    expectEqual(await deadLetters.bury(letter), "ignored", "a late report");
    expectEqual((await reader.counts()).dead, 0, "how many are dead");
  });

  test("a discard of what never was dead does nothing, and a report still counts", async ({ store }) => {
    const letter = sampleLetter(sampleRecord());
    expectEqual(await store.deadLetters.discard(letter), false, "the answer");
    expectEqual(await store.deadLetters.bury(letter), "buried", "a report");
  });
}

function holds(test: Test): void {
  test("held records wait apart until they are released, which makes them due at once", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    const records = [...sampleRecords(2), sampleRecord({ index: 2, body: largeBody(9_000) })];
    await transactions.prepare(records);
    expectEqual(await deadLetters.hold(await claimAll(tested, 3, SHORT)), 3, "how many were held");
    await tested.advance(PAST_SHORT);
    expectEqual((await transactions.claimDue(claimOptions())).claims, [], "what is due meanwhile");
    expectEqual((await reader.listHeld()).items, records, "what is held");
    expectEqual(await deadLetters.release(records[0]!.transactionId), 3, "how many were released");
    const claimed = await claimAll(tested, 3);
    for (const { record } of claimed) expectEqual(record, records[record.index], `record ${record.index}`);
    expectEqual(keysOf(claimed), keysOf(records), "what is due again");
    const { held, unsettled } = await reader.counts();
    expectEqual([held, unsettled], [0, 3], "how many are held and unsettled");
  });

  test("a hold and a release that are sent again change nothing more", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    await transactions.prepare(sampleRecords(2));
    const claimed = await claimAll(tested, 2);
    await deadLetters.hold(claimed);
    await deadLetters.hold(claimed);
    expectEqual((await reader.counts()).held, 2, "how many are held");
    await deadLetters.release(sampleId(1));
    expectEqual(await deadLetters.release(sampleId(1)), 0, "how many a second release brings back");
    await deadLetters.hold(claimed);
    const { held, unsettled } = await reader.counts();
    expectEqual([held, unsettled], [0, 2], "how many are held and unsettled after a late hold");
  });

  test("a record whose transaction was decided meanwhile is not held", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    await transactions.prepare([sampleRecord({ transactionId: sampleId(1) })]);
    await transactions.prepare([sampleRecord({ transactionId: sampleId(2) })]);
    const claimed = await claimAll(tested, 2);
    await transactions.decide(sampleId(1), "committed", AT);
    expectEqual(await deadLetters.hold(claimed), 1, "how many were held");
    const { items } = await reader.listHeld();
    expectEqual(
      items.map((record) => record.transactionId),
      [sampleId(2)],
      "what is held",
    );
    expectEqual((await reader.counts()).unsettled, 1, "how many are unsettled");
  });

  test("a record that another sweeper claimed meanwhile is not held", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    await transactions.prepare([sampleRecord()]);
    const stale = await claimAll(tested, 1, SHORT);
    await tested.advance(PAST_SHORT);
    const [claim] = await claimAll(tested, 1);
    expectEqual(await deadLetters.hold(stale), 0, "how many were held");
    await transactions.record([{ ...claim!, settled: true }]);
    const { held, unsettled } = await reader.counts();
    expectEqual([held, unsettled], [0, 0], "how many are held and unsettled");
  });

  test("a held record stays whole although a copy of it, prepared once more, is settled", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    const record = sampleRecord({ body: largeBody(9_000) });
    await transactions.prepare([record]);
    await deadLetters.hold(await claimAll(tested, 1));
    await transactions.prepare([record]);
    await transactions.record([{ record, settled: true }]);
    expectEqual((await reader.listHeld()).items, [record], "what is held");
    await deadLetters.release(record.transactionId);
    const [claim] = await claimAll(tested, 1);
    await transactions.record([{ ...claim!, settled: true }]);
    expectEqual((await tested.leftovers?.()) ?? [], [], "what is left in the store");
  });

  test("a release brings back its own transaction's records alone", async (tested) => {
    const { deadLetters, transactions, reader } = tested.store;
    const ids = [sampleId(1), `${sampleId(1)}0`, sampleId(2)];
    for (const transactionId of ids) await transactions.prepare([sampleRecord({ transactionId })]);
    await deadLetters.hold(await claimAll(tested, 3));
    expectEqual(await deadLetters.release(ids[0]!), 1, "how many were released");
    const { items } = await reader.listHeld();
    expectEqual(items.map((record) => record.transactionId).sort(), ids.slice(1), "what is still held");
    expectThat((await reader.transaction(ids[0]!)).unsettled.length === 1, "the released record is unsettled");
  });
}
