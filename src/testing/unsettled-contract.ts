import { expectEqual } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import {
  claimedIds,
  claimRows,
  decisionOf,
  newDecision,
  newIntent,
  settled,
  SOURCE,
  testsOf,
} from "./database-samples.ts";
import type { Test } from "./database-samples.ts";
import type { MakeDatabase } from "./database-under-test.ts";
import { AT, LONG, PAST_SHORT, sampleId, SHORT } from "./samples.ts";

/** What a {@link Barrier} must do about transactions that are not settled. */
export function unsettledContract(runner: ContractRunner, make: MakeDatabase): void {
  const { test } = testsOf(runner, make);
  claims(test);
  leases(test);
}

function claims(test: Test): void {
  test("what is unsettled and due is claimed: decisions with their rows, intents by their ids", async (tested) => {
    const { barrier } = tested.database;
    const decision = newDecision(1);
    await tested.database.write({ decision });
    await tested.database.write({ decision: newDecision(2, { dueMillis: LONG }) });
    await barrier.intend(newIntent(3));
    await barrier.intend(newIntent(4, 1, { dueMillis: LONG }));
    await barrier.intend(newIntent(5));
    await barrier.rollBack(sampleId(5), AT, 0);
    const { decided, intended, undecodable, more } = await claimRows(tested);
    const rows = decided.map((row) => `${row.transactionId} ${row.verdict}`).sort();
    expectEqual(rows, [`${sampleId(1)} committed`, `${sampleId(5)} rolledBack`], "decisions");
    expectEqual(decided.find((row) => row.verdict === "committed")?.records, decision.records, "the records");
    expectEqual([intended, undecodable, more], [[sampleId(3)], [], false], "intents, others and whether there is more");
  });

  test("the intent of a transaction that committed is not due", async (tested) => {
    await tested.database.barrier.intend(newIntent(1));
    await tested.database.write({ decision: newDecision(1, { dueMillis: LONG }) });
    expectEqual(claimedIds(await claimRows(tested)), [], "what is due");
  });

  test("rows of other deployments are never claimed, however alike their names are", async (tested) => {
    const long = `https://shop.example.com/${"x".repeat(300)}`;
    const sources = [SOURCE, `${SOURCE}/`, `${SOURCE} `, SOURCE.toUpperCase(), `${long}a`, `${long}b`, `${SOURCE}/é`];
    for (const [n, source] of sources.entries()) {
      await tested.database.write({ decision: newDecision(2 * n, { source }) });
      await tested.database.barrier.intend(newIntent(2 * n + 1, 1, { source }));
    }
    for (const [n, source] of sources.entries()) {
      const ids = claimedIds(await claimRows(tested, { source }));
      expectEqual(ids, [sampleId(2 * n), sampleId(2 * n + 1)], source);
    }
  });

  test("at most so many are claimed as were asked for, and it is told that there may be more", async (tested) => {
    for (let id = 0; id < 5; id++) await tested.database.write({ decision: newDecision(id) });
    const claimed: string[] = [];
    for (const [count, more] of [
      [2, true],
      [2, true],
      [1, false],
    ] as const) {
      const found = await claimRows(tested, { limit: 2 });
      expectEqual([claimedIds(found).length, found.more], [count, more], "how many were claimed, and whether more are");
      claimed.push(...claimedIds(found));
    }
    expectEqual(claimed.sort(), [0, 1, 2, 3, 4].map(sampleId), "what was claimed");
  });

  test("a claim that is sent again brings the same rows again", async (tested) => {
    await tested.database.write({ decision: newDecision(1) });
    await tested.database.barrier.intend(newIntent(2));
    const first = await claimRows(tested, { token: "same" });
    expectEqual(claimedIds(first), [sampleId(1), sampleId(2)], "the first answer");
    expectEqual(await claimRows(tested, { token: "same" }), first, "the second answer");
  });

  test("rows that another release wrote are left aside and do not stop the others", async (tested) => {
    if (tested.plant === undefined) return;
    await tested.plant(sampleId(1), '{"v":99,"future":true}', SOURCE);
    await tested.database.write({ decision: newDecision(2) });
    await tested.plant(sampleId(3), "not JSON at all", SOURCE);
    const { decided, undecodable } = await claimRows(tested);
    expectEqual(
      decided.map((row) => row.transactionId),
      [sampleId(2)],
      "decisions",
    );
    expectEqual([...undecodable].sort(), [sampleId(1), sampleId(3)], "the others");
    expectEqual(claimedIds(await claimRows(tested)), [], "what is due then");
  });

  test("rows that another release wrote are due again later", async (tested) => {
    if (tested.plant === undefined) return;
    await tested.plant(sampleId(1), '{"v":99,"future":true}', SOURCE);
    await claimRows(tested, { leaseMillis: SHORT });
    await tested.advance(PAST_SHORT);
    expectEqual((await claimRows(tested)).undecodable, [sampleId(1)], "what is due after the lease");
  });
}

function leases(test: Test): void {
  test("each transaction is claimed by one sweeper at a time", async (tested) => {
    const ids = Array.from({ length: 12 }, (_, n) => n);
    for (const id of ids) {
      if (id % 3 === 0) await tested.database.barrier.intend(newIntent(id));
      else await tested.database.write({ decision: newDecision(id) });
    }
    const claimed: string[] = [];
    for (let round = 0; round < 20 && claimed.length < ids.length; round++) {
      const found = await Promise.all([
        claimRows(tested, { limit: 4 }),
        claimRows({ database: tested.other }, { limit: 4 }),
        claimRows(tested, { limit: 4 }),
      ]);
      claimed.push(...found.flatMap(claimedIds));
    }
    expectEqual(claimed.sort(), ids.map(sampleId), "what all of them claimed");
    expectEqual(claimedIds(await claimRows(tested)), [], "what is due then");
  });

  test("a claim that is not settled lapses after its lease", async (tested) => {
    await tested.database.write({ decision: newDecision(1) });
    await tested.database.barrier.intend(newIntent(2));
    await claimRows(tested, { leaseMillis: SHORT });
    await tested.advance(PAST_SHORT);
    const { decided, intended } = await claimRows({ database: tested.other });
    expectEqual([decided.map((row) => row.transactionId), intended], [[sampleId(1)], [sampleId(2)]], "what is due");
  });

  test("a row tells how often sweepers have taken it on", async (tested) => {
    await tested.database.write({ decision: newDecision(1) });
    for (const attempts of [1, 2, 3]) {
      const { decided } = await claimRows(tested, { leaseMillis: SHORT });
      expectEqual(decided[0]?.attempts, attempts, "attempts");
      await tested.advance(PAST_SHORT);
    }
  });

  test("a sweeper whose lease lapsed changes nothing once another has claimed the row", async (tested) => {
    await tested.database.write({ decision: newDecision(1) });
    const [stale] = (await claimRows(tested, { leaseMillis: SHORT })).decided;
    await tested.advance(PAST_SHORT);
    const [fresh] = (await claimRows(tested)).decided;
    expectEqual(await tested.database.barrier.settle([settled(stale!)]), [false], "the stale one's answer");
    expectEqual(await decisionOf(tested, 1), fresh, "the row");
    expectEqual(await tested.database.barrier.settle([settled(fresh!)]), [true], "the other's answer");
  });
}
