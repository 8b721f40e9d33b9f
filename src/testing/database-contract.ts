import { expectEqual, expectThat } from "./assert.ts";
import { barrierContract } from "./barrier-contract.ts";
import { barrierReaderContract } from "./barrier-reader-contract.ts";
import { checkBackContract } from "./check-back-contract.ts";
import type { ContractRunner } from "./contract.ts";
import { decisionOf, newConsumed, newDecision, newIntent, SOURCE, testsOf } from "./database-samples.ts";
import type { Test, WayTest } from "./database-samples.ts";
import type { MakeDatabase } from "./database-under-test.ts";
import { inboxContract } from "./inbox-contract.ts";
import { AT, largeBody, LONG, PAST_SHORT, sampleId, sampleRecord, SHORT, TREACHEROUS_TEXTS } from "./samples.ts";
import { settlementContract } from "./settlement-contract.ts";
import { unitContract } from "./unit-contract.ts";
import { unsettledContract } from "./unsettled-contract.ts";

/**
 * What every {@link Database} must do, with its barrier, its reader and its inbox. Each test uses a database of its own.
 * Tests of what a database cannot do (`run` or `batch`, two transactions at once) pass without looking; every database
 * must have one of the first two.
 *
 * @example
 * ```ts
 * import { test } from "vitest";
 * databaseContract({ test }, makeDatabase);
 * ```
 */
export function databaseContract<Sql, Statement>(runner: ContractRunner, make: MakeDatabase<Sql, Statement>): void {
  // The suite only hands the driver's own things back to it.
  const makeAny = make as MakeDatabase;
  const { test, eachWay } = testsOf(runner, makeAny);
  isReady(test);
  commitsTogether(eachWay);
  comesTooLate(eachWay);
  consumesOnce(eachWay);
  writesAlone(test);
  unitContract(runner, makeAny);
  checkBackContract(runner, makeAny);
  barrierContract(runner, makeAny);
  unsettledContract(runner, makeAny);
  settlementContract(runner, makeAny);
  barrierReaderContract(runner, makeAny);
  inboxContract(runner, async () => {
    const { database, advance, dispose } = await make();
    return { inbox: database.inbox, advance, dispose };
  });
}

function isReady(test: Test): void {
  test("a database with its tables is ready, through each connection", async ({ database, other }) => {
    await database.verify();
    await other.verify();
  });
}

function commitsTogether(eachWay: WayTest): void {
  eachWay("work and decision are committed together", async (tested, commit) => {
    expectEqual((await commit(["a", "b"], { decision: newDecision(1) })).status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a", "b"], "the work");
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision");
  });

  eachWay("a decision carries its messages to the letter, its source and its time", async (tested, commit) => {
    const transactionId = sampleId(1);
    const bodies = [...TREACHEROUS_TEXTS, largeBody(900_000)];
    const records = bodies.map((body, index) => sampleRecord({ transactionId, index, body }));
    const source = "https://shop.example.com/grüße/世界?a='b'&c=\"d\"";
    await commit([], { decision: newDecision(1, { records, source, at: AT + 7 }) });
    const row = await decisionOf(tested, 1);
    const expected = { transactionId, verdict: "committed", decidedAt: AT + 7, source, records } as const;
    expectEqual(row, { ...row, ...expected, results: {}, attempts: 0, settled: false }, "the row");
    expectThat(Number.isSafeInteger(row?.version), "the version is a whole number");
  });

  eachWay("a transaction that does not decide writes no row", async (tested, commit) => {
    expectEqual((await commit(["a"])).status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a"], "the work");
    expectEqual((await tested.database.reader.counts(SOURCE)).decisions, 0, "how many decisions there are");
  });

  eachWay("work that fails leaves neither itself nor a decision", async (tested, commit) => {
    await commit(["a"]);
    const outcome = await commit(["b", "a"], { consumed: newConsumed(), decision: newDecision(1) });
    expectEqual(outcome.status, "rolledBack", "the outcome");
    expectThat("error" in outcome && outcome.error !== undefined, "the outcome has the error");
    expectEqual("retryable" in outcome && outcome.retryable, false, "whether it may be tried again");
    expectEqual(await tested.texts(), ["a"], "the work");
    expectEqual(await decisionOf(tested, 1), undefined, "the decision");
    expectEqual(await tested.database.inbox.look(newConsumed().claim), { state: "new" }, "the message");
  });

  eachWay("a transaction that certainly rolled back may be run again under its id", async (tested, commit) => {
    await commit(["a"]);
    await commit(["b", "a"], { decision: newDecision(1) });
    expectEqual((await commit(["b"], { decision: newDecision(1) })).status, "committed", "the second outcome");
    expectEqual(await tested.texts(), ["a", "b"], "the work");
  });

  eachWay("a transaction commits once: a second commit under its id leaves nothing", async (tested, commit) => {
    await commit(["a"], { decision: newDecision(1) });
    const second = await commit(["b"], { decision: newDecision(1, { at: AT + 1 }) }, "other");
    expectThat(second.status !== "committed", "the second outcome is not that it committed");
    expectEqual(await tested.texts(), ["a"], "the work");
    expectEqual((await decisionOf(tested, 1))?.decidedAt, AT, "when it was decided");
  });

  eachWay("a decision is due after the time that it names, on the database's clock", async (tested, commit) => {
    await commit([], { decision: newDecision(1, { dueMillis: LONG }) });
    await commit([], { decision: newDecision(2, { dueMillis: SHORT }) });
    await tested.advance(PAST_SHORT);
    const options = { source: SOURCE, limit: 10, leaseMillis: LONG, token: "t1" };
    const { decided } = await tested.database.barrier.claimUnsettled(options);
    expectEqual(
      decided.map((row) => row.transactionId),
      [sampleId(2)],
      "what is due",
    );
  });
}

function comesTooLate(eachWay: WayTest): void {
  eachWay("who commits after a rollback comes late, and its work is undone", async (tested, commit) => {
    await tested.other.barrier.intend(newIntent(1));
    await tested.other.barrier.rollBack(sampleId(1), AT, 0);
    const outcome = await commit(["a"], { decision: newDecision(1, { at: AT + 1 }) });
    expectEqual(outcome.status, "late", "the outcome");
    expectThat("error" in outcome && outcome.error !== undefined, "the outcome has the error");
    expectEqual(await tested.texts(), [], "the work");
    const row = await decisionOf(tested, 1);
    expectEqual([row?.verdict, row?.decidedAt], ["rolledBack", AT], "the decision");
    expectEqual((await commit(["a"], { decision: newDecision(1) })).status, "late", "the outcome of another try");
  });

  eachWay("who comes late has not consumed its message either", async (tested, commit) => {
    await tested.other.barrier.intend(newIntent(1));
    await tested.other.barrier.rollBack(sampleId(1), AT, 0);
    const outcome = await commit(["a"], { consumed: newConsumed(), decision: newDecision(1) });
    expectEqual(outcome.status, "late", "the outcome");
    expectEqual(await tested.database.inbox.look(newConsumed().claim), { state: "new" }, "the message");
  });

  eachWay("a check-back after the commit finds the user's decision and rolls nothing back", async (tested, commit) => {
    await tested.database.barrier.intend(newIntent(1));
    const decision = newDecision(1);
    expectEqual((await commit(["a"], { decision })).status, "committed", "the outcome");
    const row = await tested.other.barrier.rollBack(sampleId(1), AT + 1, 0);
    expectEqual([row?.verdict, row?.decidedAt, row?.records], ["committed", AT, decision.records], "the decision");
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision in force");
    expectEqual(await tested.texts(), ["a"], "the work");
  });

  eachWay("a late commit without an intent is simply a commit", async (tested, commit) => {
    expectEqual(await tested.other.barrier.rollBack(sampleId(1), AT, 0), undefined, "the check-back's answer");
    expectEqual((await commit(["a"], { decision: newDecision(1) })).status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a"], "the work");
  });
}

function consumesOnce(eachWay: WayTest): void {
  eachWay("a message is done once: a second run is a duplicate and leaves nothing", async (tested, commit) => {
    const first = await commit(["a"], { consumed: newConsumed("first", { outcome: '"paid"' }) });
    expectEqual(first.status, "committed", "the first outcome");
    const again = { consumed: newConsumed("second", { outcome: '"again"' }), decision: newDecision(1) };
    expectEqual(await commit(["b"], again, "other"), { status: "duplicate", outcome: '"paid"' }, "the second outcome");
    expectEqual(await tested.texts(), ["a"], "the work");
    expectEqual(await decisionOf(tested, 1), undefined, "the decision");
  });

  eachWay("a duplicate is told before anything that its work would meet", async (_, commit) => {
    await commit(["a"], { consumed: newConsumed("first") });
    const outcome = await commit(["a"], { consumed: newConsumed("second") });
    expectEqual(outcome, { status: "duplicate", outcome: "null" }, "the second outcome");
  });

  eachWay("a message, its effect and what it sends are one transaction", async (tested, commit) => {
    const riders = { consumed: newConsumed(), decision: newDecision(1) };
    expectEqual((await commit(["a"], riders)).status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a"], "the effect");
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision");
    expectEqual(await tested.database.inbox.look(newConsumed().claim), { state: "done" }, "the message");
  });

  eachWay("what a transaction consumed is done for the inbox too, to the letter", async (tested, commit) => {
    for (const [n, outcome] of TREACHEROUS_TEXTS.entries()) {
      const claim = { consumer: "receipt", messageId: `m${n}`, token: "first" };
      await commit([], { consumed: newConsumed("first", { claim, outcome }) });
      const found = await tested.other.inbox.claim({ ...claim, token: "second" }, LONG);
      expectEqual(found, { state: "done", outcome }, "another run's claim");
    }
  });

  eachWay("a run that holds the lease of its message consumes it", async (tested, commit) => {
    const { inbox } = tested.database;
    const consumed = newConsumed();
    await inbox.claim(consumed.claim, LONG);
    expectEqual((await commit(["a"], { consumed })).status, "committed", "the outcome");
    expectEqual(await inbox.look(consumed.claim), { state: "done" }, "the message");
    await inbox.release(consumed.claim);
    expectEqual(await inbox.look(consumed.claim), { state: "done" }, "the message after a release");
  });

  eachWay("messages of other consumers and other ids are done each for itself", async (_, commit) => {
    for (const [consumer, messageId] of [
      ["receipt", "m1"],
      ["receipt", "M1"],
      ["Receipt", "m1"],
      ["receipt", "m1 "],
      ["receipt ", "m1"],
    ] as const) {
      const claim = { consumer, messageId, token: "t1" };
      const outcome = await commit([], { consumed: newConsumed("t1", { claim }) });
      expectEqual(outcome.status, "committed", `"${consumer}" "${messageId}"`);
    }
    expectEqual((await commit([], { consumed: newConsumed() })).status, "duplicate", "the first one again");
  });

  eachWay(
    "of two transactions that consume a message at once, one commits and one is a duplicate",
    async (...given) => {
      const [tested, commit] = given;
      if (tested.concurrent !== true) return;
      const outcomes = await Promise.all([
        commit(["a"], { consumed: newConsumed("first", { outcome: "1" }) }),
        commit(["b"], { consumed: newConsumed("second", { outcome: "1" }) }, "other"),
      ]);
      expectEqual(outcomes.map(({ status }) => status).sort(), ["committed", "duplicate"], "the outcomes");
      const winner = outcomes[0].status === "committed" ? "a" : "b";
      expectEqual(await tested.texts(), [winner], "the work");
    },
  );
}

function writesAlone(test: Test): void {
  test("rows are written alone, as one transaction", async (tested) => {
    const riders = { consumed: newConsumed("first", { outcome: "1" }), decision: newDecision(1) };
    const { database } = tested;
    expectEqual(await database.write(riders), { status: "committed", value: undefined }, "the outcome");
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision");
    expectEqual(await database.inbox.look(riders.consumed.claim), { state: "done" }, "the message");
    const again = { consumed: newConsumed("second"), decision: newDecision(2) };
    expectEqual(await database.write(again), { status: "duplicate", outcome: "1" }, "the outcome of a duplicate");
    expectEqual(await decisionOf(tested, 2), undefined, "the duplicate's decision");
  });

  test("rows that are written after a rollback come late", async (tested) => {
    const { database } = tested;
    await database.barrier.intend(newIntent(1));
    await database.barrier.rollBack(sampleId(1), AT, 0);
    const outcome = await database.write({ consumed: newConsumed(), decision: newDecision(1) });
    expectEqual(outcome.status, "late", "the outcome");
    expectEqual(await database.inbox.look(newConsumed().claim), { state: "new" }, "the message");
  });
}
