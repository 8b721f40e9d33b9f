import type { DecisionRow, DeliveryResult } from "../model/barrier-row.ts";
import type { Page, PageOptions } from "../ports/log-reader.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { claimRows, decisionOf, newDecision, newIntent, SOURCE, testsOf } from "./database-samples.ts";
import type { DatabaseUnderTest, MakeDatabase } from "./database-under-test.ts";
import { AT, LONG, sampleId } from "./samples.ts";

const DEAD: DeliveryResult = { state: "dead", reason: "refused", detail: "413: too large", status: 413, buriedAt: AT };

/** What a {@link BarrierReader} must do. */
export function barrierReaderContract(runner: ContractRunner, make: MakeDatabase): void {
  const { test } = testsOf(runner, make);

  test("transactions of which a delivery is dead are listed page by page, oldest first", async (tested) => {
    const { reader } = tested.database;
    const ids = [3, 1, 4, 2, 5];
    for (const id of ids) await bury(tested, id);
    await bury(tested, 6, `${SOURCE}/`);
    await tested.database.write({ decision: newDecision(7) });
    for (const limit of [1, 2, 3, 5, 50]) {
      const pages = await allPages((page) => reader.listDead(SOURCE, page), limit);
      const listed = pages.flat().map((row) => row.transactionId);
      expectEqual(listed, [1, 2, 3, 4, 5].map(sampleId), `what is listed ${limit} at a time`);
      expectThat(
        pages.every((page) => page.length <= limit),
        "no page is longer than was asked for",
      );
    }
    const [first] = (await reader.listDead(SOURCE)).items;
    expectEqual(first, await decisionOf(tested, 1), "a row in the list");
  });

  test("a transaction leaves the list of the dead when its last dead delivery is redriven or dropped", async (...given) => {
    const [tested] = given;
    const row = await bury(tested, 1);
    const results = { [row.records[0]!.key]: { state: "discarded" } as const };
    await tested.database.barrier.settle([{ row, results, settled: true, dueMillis: 0 }]);
    expectEqual((await tested.database.reader.listDead(SOURCE)).items, [], "what is listed");
  });

  test("unsettled transactions are listed page by page, each once, soonest due first", async (tested) => {
    const { database } = tested;
    const { barrier, reader } = database;
    await database.write({ decision: newDecision(1, { dueMillis: 3 * LONG }) });
    await barrier.intend(newIntent(2, 1, { dueMillis: LONG }));
    await database.write({ decision: newDecision(3) });
    // Decided by the user, and not yet settled: its intent stands beside its decision.
    await barrier.intend(newIntent(4, 1, { dueMillis: 0 }));
    await database.write({ decision: newDecision(4, { dueMillis: 2 * LONG }) });
    await bury(tested, 5);
    await database.write({ decision: newDecision(6, { source: `${SOURCE}/` }) });
    for (const limit of [1, 2, 3, 50]) {
      const pages = await allPages((page) => reader.listUnsettled(SOURCE, page), limit);
      const listed = pages.flat().map((row) => [row.transactionId, row.found.state]);
      expectEqual(
        listed,
        [
          [sampleId(3), "decided"],
          [sampleId(2), "intended"],
          [sampleId(4), "decided"],
          [sampleId(1), "decided"],
        ],
        `what is listed ${limit} at a time`,
      );
      const dues = pages.flat().map((row) => row.dueAt);
      expectEqual(
        dues,
        dues.toSorted((a, b) => a - b),
        "when they are due",
      );
      expectThat(dues.every(Number.isSafeInteger), "due times are whole milliseconds");
    }
  });

  test("transactions that are due at the same time are all listed", async (tested) => {
    const { database } = tested;
    for (let id = 1; id <= 6; id++) await database.write({ decision: newDecision(id) });
    const before = (await database.reader.listUnsettled(SOURCE)).items;
    await claimRows(tested, { leaseMillis: LONG });
    const pages = await allPages((page) => database.reader.listUnsettled(SOURCE, page), 2);
    const listed = pages.flat().map((row) => row.transactionId);
    expectEqual(listed.sort(), [1, 2, 3, 4, 5, 6].map(sampleId), "what is listed");
    expectThat(pages.flat()[0]!.dueAt >= before[0]!.dueAt + LONG, "the lease is when they are due again");
  });

  test("a row that another release wrote is listed as such, and counted", async (tested) => {
    if (tested.plant === undefined) return;
    await tested.plant(sampleId(1), '{"v":99,"future":true}', SOURCE);
    const { items } = await tested.database.reader.listUnsettled(SOURCE);
    expectEqual(
      items.map((row) => [row.transactionId, row.found]),
      [[sampleId(1), { state: "undecodable" }]],
      "what is listed",
    );
    expectEqual((await tested.database.reader.counts(SOURCE)).unsettled, 1, "how many are unsettled");
  });

  test("transactions, dead deliveries and decisions of one deployment are counted", async (tested) => {
    const { database } = tested;
    const none = { unsettled: 0, dead: 0, decisions: 0 };
    expectEqual(await database.reader.counts(SOURCE), none, "an empty database's counts");
    await database.write({ decision: newDecision(1) });
    await database.barrier.intend(newIntent(2));
    await database.barrier.intend(newIntent(3));
    await database.write({ decision: newDecision(3) });
    await bury(tested, 4);
    expectEqual(await database.reader.counts(SOURCE), { unsettled: 3, dead: 1, decisions: 3 }, "the counts");
    expectEqual(await database.reader.counts(`${SOURCE}/`), none, "another deployment's counts");
  });
}

/** A settled transaction whose delivery is dead. */
async function bury(tested: DatabaseUnderTest, id: number, source: string = SOURCE): Promise<DecisionRow> {
  await tested.database.write({ decision: newDecision(id, { source }) });
  const row = (await decisionOf(tested, id))!;
  const results = { [row.records[0]!.key]: DEAD };
  await tested.database.barrier.settle([{ row, results, settled: true, dueMillis: 0 }]);
  return (await decisionOf(tested, id))!;
}

/** Every page of a list, with at most so many items each. */
async function allPages<T>(list: (page: PageOptions) => Promise<Page<T>>, limit: number): Promise<(readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<T> = await list({ limit, ...(cursor === undefined ? {} : { cursor }) });
    pages.push(page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && pages.length < 50);
  return pages;
}
