import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { decisionOf, newDecision, newIntent, signal, testsOf } from "./database-samples.ts";
import type { DatabaseUnderTest, MakeDatabase } from "./database-under-test.ts";
import { AT, sampleId } from "./samples.ts";

/** What must hold where a check-back meets a transaction that is open; for databases that can have two open at once. */
export function checkBackContract(runner: ContractRunner, make: MakeDatabase): void {
  const { runTest: test } = testsOf(runner, make);

  test("a check-back that is first wins over a transaction that is open, which comes late", async (tested, run) => {
    if (tested.concurrent !== true) return;
    await tested.database.barrier.intend(newIntent(1));
    const outcome = await run(async (unit, insert) => {
      await insert("a");
      const row = await tested.other.barrier.rollBack(sampleId(1), AT, 0);
      expectEqual(row?.verdict, "rolledBack", "the check-back's answer");
      await unit.decide(newDecision(1));
    });
    expectEqual(outcome.status, "late", "the outcome");
    expectEqual(await tested.texts(), [], "the work");
  });

  test("nobody sees a decision before its COMMIT", async (tested, run) => {
    if (tested.concurrent !== true) return;
    await tested.database.barrier.intend(newIntent(1));
    await run(async (unit) => {
      await unit.decide(newDecision(1));
      const found = await tested.other.barrier.find([sampleId(1)]);
      expectEqual(found.get(sampleId(1))?.state, "intended", "what another process finds");
    });
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision");
  });

  test("a check-back that meets a commit on its way waits for it, or does not know yet", async (tested, run) => {
    if (tested.concurrent !== true) return;
    await tested.database.barrier.intend(newIntent(1));
    const { asked, checkBack } = checkBackDuring(tested, 1);
    const outcome = await run(async (unit, insert) => {
      await insert("a");
      await unit.decide(newDecision(1));
      await asked();
    });
    expectEqual(outcome.status, "committed", "the outcome");
    const told = await checkBack;
    expectThat(told === "not known" || told === "committed", `a check-back is not told "${told}"`);
    const row = await tested.other.barrier.rollBack(sampleId(1), AT + 2, 0);
    expectEqual([row?.verdict, row?.decidedAt], ["committed", AT], "the decision");
    expectEqual(await tested.texts(), ["a"], "the work");
  });

  test("a check-back that waited for a commit that failed rolls back, or does not know yet", async (tested, run) => {
    if (tested.concurrent !== true) return;
    await tested.database.barrier.intend(newIntent(1));
    const { asked, checkBack } = checkBackDuring(tested, 1);
    const outcome = await run(async (unit, insert) => {
      await insert("a");
      await unit.decide(newDecision(1));
      await asked();
      throw new Error("no stock");
    });
    expectEqual(outcome.status, "rolledBack", "the outcome");
    const told = await checkBack;
    expectThat(told === "not known" || told === "rolledBack", `a check-back is not told "${told}"`);
    expectEqual((await tested.other.barrier.rollBack(sampleId(1), AT + 2, 0))?.verdict, "rolledBack", "the decision");
    expectEqual(await tested.texts(), [], "the work");
  });

  test("a check-back does not wait for ever for a commit on its way", async (tested, run) => {
    if (tested.concurrent !== true) return;
    await tested.database.barrier.intend(newIntent(1));
    let told: string | undefined;
    const outcome = await run(async (unit) => {
      await unit.decide(newDecision(1));
      const { asked, checkBack } = checkBackDuring(tested, 1);
      await asked();
      told = await Promise.race([checkBack, tested.advance(10_000).then(() => "still waiting")]);
    });
    expectEqual([told, outcome.status], ["not known", "committed"], "the check-back's answer, and the outcome");
  });
}

/** A check-back that another process begins when `asked` is called. */
function checkBackDuring(
  tested: DatabaseUnderTest,
  id: number,
): { asked(): Promise<void>; checkBack: Promise<string> } {
  const { given, give } = signal();
  const ask = async (): Promise<string> => {
    await given;
    try {
      return (await tested.other.barrier.rollBack(sampleId(id), AT + 1, 0))?.verdict ?? "undecided";
    } catch {
      return "not known";
    }
  };
  return {
    // A moment for it to arrive; the test holds whether it does or not.
    asked: () => {
      give();
      return tested.advance(50);
    },
    checkBack: ask(),
  };
}
