import type { DecisionRow, DeliveryResult } from "../model/barrier-row.ts";
import type { RowChange } from "../ports/barrier.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import {
  claimedIds,
  claimRows,
  decisionOf,
  newConsumed,
  newDecision,
  newIntent,
  PUBLISHED,
  settled,
  SOURCE,
  testsOf,
} from "./database-samples.ts";
import type { Test } from "./database-samples.ts";
import type { DatabaseUnderTest, MakeDatabase } from "./database-under-test.ts";
import { AT, LONG, PAST_SHORT, sampleId, sampleRecords, SHORT } from "./samples.ts";

/** What a {@link Barrier} must do about transactions that are being settled, and about those that are. */
export function settlementContract(runner: ContractRunner, make: MakeDatabase): void {
  const { test } = testsOf(runner, make);
  settles(test);
  cleansUp(test);
}

const DEAD: DeliveryResult = {
  state: "dead",
  epoch: "e1",
  reason: "refused",
  detail: "413: grüße, 世界, 🦊 'x' \\u0000 \n",
  status: 413,
  buriedAt: AT + 5,
  transportId: "dlq-1",
};

function settles(test: Test): void {
  test("a settled row keeps its results and is not due any more", async (tested) => {
    const { barrier, reader } = tested.database;
    await tested.database.write({ decision: newDecision(1) });
    const [row] = (await claimRows(tested, { leaseMillis: SHORT })).decided;
    const change = settled(row!);
    expectEqual(await barrier.settle([change]), [true], "the answer");
    const found = await decisionOf(tested, 1);
    const { version: _, ...rest } = row!;
    expectEqual(found, { ...rest, version: found?.version, results: change.results, settled: true }, "the row");
    expectThat(found!.version > row!.version, "the version rises");
    await tested.advance(PAST_SHORT);
    expectEqual(claimedIds(await claimRows(tested)), [], "what is due");
    expectEqual(await reader.counts(SOURCE), { unsettled: 0, dead: 0, decisions: 1 }, "how much there is");
  });

  test("a change applies to the version that it was made from only, and once", async (tested) => {
    const row = await decided(tested, 1);
    const { barrier } = tested.database;
    expectEqual(await barrier.settle([settled(row)]), [true], "the first answer");
    const after = await decisionOf(tested, 1);
    expectEqual(await barrier.settle([settled(row)]), [false], "the answer to the call sent again");
    const other: RowChange = { row, results: {}, settled: false, dueMillis: 0 };
    expectEqual(await tested.other.barrier.settle([other]), [false], "the answer to another change of that version");
    expectEqual(await decisionOf(tested, 1), after, "the row");
  });

  test("of several changes at once to one version, one applies", async (tested) => {
    const row = await decided(tested, 1);
    const answers = await Promise.all(
      [tested.database, tested.other, tested.database].map(({ barrier }) => barrier.settle([settled(row)])),
    );
    expectEqual(answers.flat().filter(Boolean).length, 1, "how many applied");
  });

  test("changes of several rows are answered one by one", async (tested) => {
    const rows = [await decided(tested, 1), await decided(tested, 2), await decided(tested, 3)];
    const { barrier } = tested.database;
    await barrier.settle([settled(rows[1]!)]);
    expectEqual(await barrier.settle(rows.map(settled)), [true, false, true], "the answers");
    expectEqual(await barrier.settle([]), [], "the answer to nothing");
    expectEqual((await tested.database.reader.counts(SOURCE)).unsettled, 0, "how many are unsettled");
  });

  test("a row that is not settled is due again after the time that it names, with its results", async (tested) => {
    const { barrier } = tested.database;
    for (const [id, dueMillis] of [
      [2, LONG],
      [1, SHORT],
    ] as const) {
      await tested.database.write({ decision: newDecision(id) });
      const [row] = (await claimRows(tested)).decided;
      const results = { [row!.records[0]!.key]: PUBLISHED };
      expectEqual(await barrier.settle([{ row: row!, results, settled: false, dueMillis }]), [true], "the answer");
    }
    await tested.advance(PAST_SHORT);
    const { decided: due } = await claimRows(tested);
    expectEqual(
      due.map((row) => row.transactionId),
      [sampleId(1)],
      "what is due",
    );
    expectEqual(due[0]!.results, { [due[0]!.records[0]!.key]: PUBLISHED }, "the results");
  });

  test("a settled row can be opened again, and is due then", async (tested) => {
    const row = await decided(tested, 1);
    const { barrier } = tested.database;
    await barrier.settle([settled(row)]);
    const standing = (await decisionOf(tested, 1))!;
    await barrier.settle([{ row: standing, results: {}, settled: false, dueMillis: 0 }]);
    expectEqual(claimedIds(await claimRows(tested)), [sampleId(1)], "what is due");
  });

  test("settling a transaction closes its intent", async (tested) => {
    await tested.database.barrier.intend(newIntent(1, 1, { dueMillis: 0 }));
    const row = await decided(tested, 1);
    await tested.database.barrier.settle([settled(row)]);
    expectEqual(claimedIds(await claimRows(tested)), [], "what is due");
    expectEqual((await tested.database.reader.counts(SOURCE)).unsettled, 0, "how many are unsettled");
    expectEqual(await tested.database.barrier.intend(newIntent(1, 2)), false, "the answer to another intent");
  });

  test("every result comes back as it was recorded, and dead ones are counted", async (tested) => {
    const records = sampleRecords(4, { transactionId: sampleId(1) });
    const row = await decided(tested, 1, records);
    const [a, b, c, d] = records.map(({ key }) => key);
    const results: Record<string, DeliveryResult> = {
      [a!]: { state: "published", epoch: "e2" },
      [b!]: DEAD,
      [c!]: { state: "discarded" },
      [d!]: { state: "dead", reason: "failed", detail: "", buriedAt: AT },
    };
    await tested.database.barrier.settle([{ row, results, settled: true, dueMillis: 0 }]);
    const standing = (await decisionOf(tested, 1))!;
    expectEqual(standing.results, results, "the results");
    expectEqual((await tested.database.reader.counts(SOURCE)).dead, 2, "how many are dead");
    const redriven = { ...results, [b!]: { state: "half", epoch: "e3" } as const };
    await tested.database.barrier.settle([{ row: standing, results: redriven, settled: false, dueMillis: 0 }]);
    expectEqual((await decisionOf(tested, 1))?.results, redriven, "the results after a redrive");
    expectEqual((await tested.database.reader.counts(SOURCE)).dead, 1, "how many are dead after a redrive");
  });
}

function cleansUp(test: Test): void {
  const options = { source: SOURCE, retentionMillis: SHORT, limit: 100 };

  test("transactions that were settled long ago are dropped, intent and decision together", async (tested) => {
    const { database } = tested;
    await database.barrier.intend(newIntent(1));
    await database.barrier.settle([settled(await decided(tested, 1))]);
    await database.barrier.intend(newIntent(2));
    const row = await database.barrier.rollBack(sampleId(2), AT, 0);
    await database.barrier.settle([settled(row!)]);
    await tested.advance(PAST_SHORT);
    expectThat((await database.barrier.cleanUp(options)) > 0, "something was dropped");
    expectEqual((await database.barrier.find([sampleId(1), sampleId(2)])).size, 0, "what is left");
    expectEqual(await database.barrier.cleanUp(options), 0, "how much was dropped the second time");
  });

  test("nothing is dropped before its retention is over", async (tested) => {
    const { barrier } = tested.database;
    await barrier.settle([settled(await decided(tested, 1))]);
    await tested.advance(PAST_SHORT);
    expectEqual(await barrier.cleanUp({ ...options, retentionMillis: LONG }), 0, "how much was dropped");
    expectEqual((await barrier.find([sampleId(1)])).size, 1, "what is left");
  });

  test("what is unsettled or of which a delivery is dead is never dropped", async (tested) => {
    const { barrier } = tested.database;
    await decided(tested, 1);
    await barrier.intend(newIntent(2));
    const dead = await decided(tested, 3);
    await barrier.settle([{ row: dead, results: { [dead.records[0]!.key]: DEAD }, settled: true, dueMillis: 0 }]);
    await barrier.intend(newIntent(4));
    await barrier.rollBack(sampleId(4), AT, 0);
    await tested.advance(PAST_SHORT);
    expectEqual(await barrier.cleanUp(options), 0, "how much was dropped");
    expectEqual((await barrier.find([1, 2, 3, 4].map(sampleId))).size, 4, "how many are left");
  });

  test("transactions of other deployments are not dropped", async (tested) => {
    const { barrier } = tested.database;
    await barrier.settle([settled(await decided(tested, 1))]);
    await tested.advance(PAST_SHORT);
    expectEqual(await barrier.cleanUp({ ...options, source: `${SOURCE}/` }), 0, "how much was dropped");
    expectEqual((await barrier.find([sampleId(1)])).size, 1, "what is left");
  });

  test("a clean-up drops a bounded number of transactions, and the next one goes on", async (tested) => {
    const { barrier } = tested.database;
    const ids = [1, 2, 3, 4, 5].map(sampleId);
    for (const id of [1, 2, 3, 4, 5]) await barrier.settle([settled(await decided(tested, id))]);
    await tested.advance(PAST_SHORT);
    const left: number[] = [];
    for (let round = 0; round < 3; round++) {
      await barrier.cleanUp({ ...options, limit: 2 });
      left.push((await barrier.find(ids)).size);
    }
    expectEqual(left, [3, 1, 0], "how many are left after each");
  });

  test("a message that need not be remembered any more is dropped, and no other", async (tested) => {
    const { database } = tested;
    const other = { consumer: "receipt", messageId: "m2", token: "t1" };
    await database.write({ consumed: newConsumed("first", { retentionMillis: SHORT }) });
    await database.write({ consumed: newConsumed("first", { claim: other, outcome: "2" }) });
    await tested.advance(PAST_SHORT);
    await database.barrier.cleanUp(options);
    expectEqual((await database.write({ consumed: newConsumed("second") })).status, "committed", "the one");
    const again = await database.write({ consumed: newConsumed("second", { claim: { ...other, token: "t2" } }) });
    expectEqual(again, { status: "duplicate", outcome: "2" }, "the other");
  });
}

/** A decided row as a sweeper that did not claim it read it. */
async function decided(tested: DatabaseUnderTest, id: number, records?: DecisionRow["records"]): Promise<DecisionRow> {
  await tested.database.write({ decision: newDecision(id, records === undefined ? {} : { records }) });
  return (await decisionOf(tested, id))!;
}
