import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { claimedIds, claimRows, decisionOf, newDecision, newIntent, SOURCE, testsOf } from "./database-samples.ts";
import type { Test } from "./database-samples.ts";
import type { MakeDatabase } from "./database-under-test.ts";
import { AT, largeBody, LONG, PAST_SHORT, sampleId, sampleRecord, SHORT, TREACHEROUS_TEXTS } from "./samples.ts";

/** What a {@link Barrier} must do about single transactions. */
export function barrierContract(runner: ContractRunner, make: MakeDatabase): void {
  const { test } = testsOf(runner, make);
  intends(test);
  refusesIntents(test);
  rollsBack(test);
  finds(test);
}

function intends(test: Test): void {
  test("an intent keeps its messages to the letter", async ({ database, other }) => {
    const transactionId = sampleId(1);
    const bodies = [...TREACHEROUS_TEXTS, largeBody(900_000)];
    const records = bodies.map((body, index) => sampleRecord({ transactionId, index, body, on: "rollback" }));
    expectEqual(await database.barrier.intend(newIntent(1, 1, { records })), true, "the answer");
    const found = (await other.barrier.find([transactionId])).get(transactionId);
    expectEqual(found, { state: "intended", records, overdue: true }, "what another process finds");
  });

  test("a later intent takes the place of the one before", async ({ database }) => {
    const { barrier } = database;
    const last = newIntent(1, 3);
    expectEqual(await barrier.intend(newIntent(1, 1)), true, "the first answer");
    expectEqual(await barrier.intend(newIntent(1, 2)), true, "the second answer");
    expectEqual(await barrier.intend(last), true, "the third answer");
    const found = (await barrier.find([last.transactionId])).get(last.transactionId);
    expectEqual(found, { state: "intended", records: last.records, overdue: true }, "what is kept");
  });

  test("an intent that arrives after a later one changes nothing", async ({ database }) => {
    const { barrier } = database;
    const later = newIntent(1, 2);
    await barrier.intend(later);
    await barrier.intend(newIntent(1, 1));
    const found = (await barrier.find([later.transactionId])).get(later.transactionId);
    expectEqual(found, { state: "intended", records: later.records, overdue: true }, "what is kept");
  });

  test("a sweeper's look at an intent does not keep later ones out", async (tested) => {
    const { barrier } = tested.database;
    await barrier.intend(newIntent(1, 1));
    for (const sequence of [2, 3]) {
      await claimRows(tested, { leaseMillis: SHORT });
      const later = newIntent(1, sequence);
      expectEqual(await barrier.intend(later), true, "the answer");
      const found = (await barrier.find([later.transactionId])).get(later.transactionId);
      expectEqual(found?.state === "intended" && found.records, later.records, "what is kept");
      await tested.advance(PAST_SHORT);
    }
    const row = await barrier.rollBack(sampleId(1), AT, 0);
    expectEqual(row?.records, newIntent(1, 3).records, "what the rollback sends");
  });

  test("an intent that is sent again is kept, and adds nothing", async ({ database }) => {
    const { barrier, reader } = database;
    expectEqual(await barrier.intend(newIntent(1)), true, "the first answer");
    expectEqual(await barrier.intend(newIntent(1)), true, "the answer to the call sent again");
    expectEqual((await reader.counts(SOURCE)).unsettled, 1, "how many are unsettled");
  });

  test("the outcome is looked into at a time after the first intent, whatever later ones say", async (tested) => {
    const { barrier } = tested.database;
    await barrier.intend(newIntent(1, 1, { dueMillis: SHORT }));
    await barrier.intend(newIntent(1, 2, { dueMillis: LONG }));
    await barrier.intend(newIntent(2, 1, { dueMillis: LONG }));
    await barrier.intend(newIntent(2, 2, { dueMillis: 0 }));
    await tested.advance(PAST_SHORT);
    expectEqual(claimedIds(await claimRows(tested)), [sampleId(1)], "what is due");
  });
}

function refusesIntents(test: Test): void {
  test("an intent is refused once its transaction was rolled back", async (tested) => {
    const { barrier } = tested.database;
    const first = newIntent(1, 1);
    await barrier.intend(first);
    await tested.other.barrier.rollBack(sampleId(1), AT, 0);
    expectEqual(await barrier.intend(newIntent(1, 2)), false, "the answer to a later one");
    expectEqual((await decisionOf(tested, 1))?.records, first.records, "what the rollback sends");
    expectEqual(claimedIds(await claimRows(tested)), [sampleId(1)], "what is due");
  });

  test("an intent is refused once its transaction was committed", async (tested) => {
    const { database } = tested;
    await database.write({ decision: newDecision(1) });
    expectEqual(await database.barrier.intend(newIntent(1)), false, "the answer where there was none");
    await database.barrier.intend(newIntent(2, 1));
    await database.write({ decision: newDecision(2) });
    expectEqual(await database.barrier.intend(newIntent(2, 2)), false, "the answer where there was one");
    const { intended } = await claimRows(tested);
    expectEqual(intended, [], "what is due and undecided");
  });

  test("an intent and a rollback at once leave nothing out: what was kept is sent", async (tested) => {
    const { barrier } = tested.database;
    for (let id = 0; id < 8; id++) {
      const second = newIntent(id, 2);
      await barrier.intend(newIntent(id, 1));
      const [kept, row] = await Promise.all([
        barrier.intend(second).catch(() => undefined),
        tested.other.barrier.rollBack(sampleId(id), AT, 0).catch(() => undefined),
      ]);
      const decision = row ?? (await barrier.rollBack(sampleId(id), AT, 0));
      if (kept === true) expectEqual(decision?.records, second.records, "what the rollback sends");
      if (kept === false) expectEqual(decision?.records, newIntent(id, 1).records, "what the rollback sends");
    }
  });
}

function rollsBack(test: Test): void {
  test("a transaction with an intent and no decision is rolled back, and sends what the intent kept", async (...given) => {
    const [tested] = given;
    const intent = newIntent(1, 4);
    await tested.database.barrier.intend(intent);
    const row = await tested.other.barrier.rollBack(sampleId(1), AT + 3, 0);
    const { transactionId, source, records } = intent;
    const expected = { transactionId, verdict: "rolledBack", decidedAt: AT + 3, source, records } as const;
    expectEqual(row, { ...row, ...expected, results: {}, attempts: 0, settled: false }, "the answer");
    expectEqual(await decisionOf(tested, 1), row, "the decision");
  });

  test("a transaction with neither intent nor decision is left undecided", async (tested) => {
    expectEqual(await tested.database.barrier.rollBack(sampleId(1), AT, 0), undefined, "the answer");
    expectEqual((await tested.database.barrier.find([sampleId(1)])).size, 0, "what is found");
  });

  test("a rollback that is sent again resolves to the decision in force", async ({ database, other }) => {
    await database.barrier.intend(newIntent(1));
    const first = await database.barrier.rollBack(sampleId(1), AT, 0);
    expectEqual(await other.barrier.rollBack(sampleId(1), AT + 9, LONG), first, "the second answer");
    expectEqual((await database.reader.counts(SOURCE)).decisions, 1, "how many decisions there are");
  });

  test("rollbacks at once agree on one decision", async ({ database, other }) => {
    await database.barrier.intend(newIntent(1));
    const rows = await Promise.all(
      [database, other, database, other].map(({ barrier }, n) => barrier.rollBack(sampleId(1), AT + n, 0)),
    );
    const times = new Set(rows.map((row) => row?.decidedAt));
    expectEqual(times.size, 1, "how many times of a decision were told");
    expectThat(
      rows.every((row) => row?.verdict === "rolledBack"),
      "every answer is the rollback",
    );
  });

  test("a transaction that committed is not rolled back, with or without an intent", async ({ database, other }) => {
    await database.barrier.intend(newIntent(1));
    for (const id of [1, 2]) {
      const decision = newDecision(id);
      await database.write({ decision });
      const row = await other.barrier.rollBack(sampleId(id), AT + 1, 0);
      expectEqual([row?.verdict, row?.decidedAt, row?.records], ["committed", AT, decision.records], "the answer");
    }
  });

  test("a rollback closes the intent, and is due itself after the time that it names", async (tested) => {
    const { barrier, reader } = tested.database;
    await barrier.intend(newIntent(1));
    await barrier.intend(newIntent(2));
    await barrier.rollBack(sampleId(1), AT, LONG);
    await barrier.rollBack(sampleId(2), AT, SHORT);
    await tested.advance(PAST_SHORT);
    const { decided, intended } = await claimRows(tested);
    const due = decided.map((row) => [row.transactionId, row.verdict]);
    expectEqual(due, [[sampleId(2), "rolledBack"]], "decisions that are due");
    expectEqual(intended, [], "intents that are due");
    expectEqual(await reader.counts(SOURCE), { unsettled: 2, dead: 0, decisions: 2 }, "how much there is");
  });
}

function finds(test: Test): void {
  test("each transaction is found as it stands, and one without rows is absent", async ({ database }) => {
    const { barrier } = database;
    await barrier.intend(newIntent(1));
    await database.write({ decision: newDecision(2) });
    await barrier.intend(newIntent(3));
    await barrier.rollBack(sampleId(3), AT, 0);
    await barrier.intend(newIntent(4));
    await database.write({ decision: newDecision(4) });
    const found = await barrier.find([1, 2, 3, 4, 5].map(sampleId));
    const states = [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, row]) => [id, standing(row)]);
    const expected = ["intended", "committed", "rolledBack", "committed"].map((state, n) => [sampleId(n + 1), state]);
    expectEqual(states, expected, "what is found");
    expectEqual((await barrier.find([])).size, 0, "what is found of nothing");
  });

  test("an intent is overdue once its outcome is to be looked into, on the database's clock", async (tested) => {
    const { barrier } = tested.database;
    await barrier.intend(newIntent(1, 1, { dueMillis: SHORT }));
    await barrier.intend(newIntent(2, 1, { dueMillis: LONG }));
    await tested.advance(PAST_SHORT);
    const found = await barrier.find([sampleId(1), sampleId(2)]);
    const overdue = [1, 2].map((id) => {
      const row = found.get(sampleId(id));
      return row?.state === "intended" ? row.overdue : undefined;
    });
    expectEqual(overdue, [true, false], "which are overdue");
  });

  test("a decision is overdue once it is to be gone on with, on the database's clock", async (tested) => {
    const { barrier } = tested.database;
    await tested.database.write({ decision: newDecision(1, { dueMillis: SHORT }) });
    await tested.database.write({ decision: newDecision(2, { dueMillis: LONG }) });
    await tested.advance(PAST_SHORT);
    const found = await barrier.find([sampleId(1), sampleId(2)]);
    const overdue = [1, 2].map((id) => {
      const row = found.get(sampleId(id));
      return row?.state === "decided" ? row.overdue : undefined;
    });
    expectEqual(overdue, [true, false], "which are overdue");
  });

  test("transactions whose ids differ in case alone are two", async ({ database }) => {
    await database.barrier.intend(newIntent("order-1-a"));
    await database.write({ decision: newDecision("order-1-A") });
    const found = await database.barrier.find(["order-1-a", "order-1-A"]);
    expectEqual(found.get("order-1-a")?.state, "intended", "the one");
    expectEqual(found.get("order-1-A")?.state, "decided", "the other");
  });

  test("a row that another release wrote is found as undecodable", async (tested) => {
    if (tested.plant === undefined) return;
    await tested.plant(sampleId(1), '{"v":99,"future":true}', SOURCE);
    await tested.plant(sampleId(2), "not JSON at all", SOURCE);
    const found = await tested.database.barrier.find([sampleId(1), sampleId(2)]);
    expectEqual(
      [found.get(sampleId(1)), found.get(sampleId(2))],
      [{ state: "undecodable" }, { state: "undecodable" }],
      "what is found",
    );
  });
}

function standing(row: { readonly state: string; readonly row?: { readonly verdict: string } }): string {
  return row.row?.verdict ?? row.state;
}
