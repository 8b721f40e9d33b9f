import type { Isolation } from "../ports/database.ts";
import { expectEqual, expectThat } from "./assert.ts";
import type { ContractRunner } from "./contract.ts";
import { decisionOf, newConsumed, newDecision, newIntent, testsOf } from "./database-samples.ts";
import type { RunTest } from "./database-samples.ts";
import type { MakeDatabase } from "./database-under-test.ts";
import { AT, LONG, sampleId } from "./samples.ts";

const ISOLATIONS: readonly Isolation[] = ["read committed", "repeatable read", "serializable"];

/** What a database with interactive transactions must do besides. */
export function unitContract(runner: ContractRunner, make: MakeDatabase): void {
  const { runTest } = testsOf(runner, make);
  runs(runTest);
  cannotBeTalkedOver(runTest);
  keepsOutcomes(runTest);
  savesPoints(runTest);
}

function runs(test: RunTest): void {
  test("a transaction resolves to what its work resolves to", async (tested, run) => {
    const value = { order: 1 };
    const outcome = await run(async (_, insert) => {
      await insert("a");
      return value;
    });
    expectThat(outcome.status === "committed" && outcome.value === value, "the value is the work's own");
    expectEqual(await tested.texts(), ["a"], "the work");
  });

  test("what the work throws comes through as it is, and its statements are undone", async (tested, run) => {
    for (const thrown of [new Error("no stock"), new TypeError("x is not a function"), "a text", undefined, null]) {
      const outcome = await run(async (unit, insert) => {
        await insert("a");
        await unit.consume(newConsumed());
        await unit.decide(newDecision(1));
        throw thrown;
      });
      expectThat(outcome.status === "rolledBack" && outcome.error === thrown, `"${String(thrown)}" comes through`);
      expectEqual(outcome.status === "rolledBack" && outcome.retryable, false, "whether it may be tried again");
    }
    expectEqual(await tested.texts(), [], "the work");
    expectEqual(await decisionOf(tested, 1), undefined, "the decision");
    expectEqual(await tested.database.inbox.look(newConsumed().claim), { state: "new" }, "the message");
  });

  test("work that throws before it promises anything is rolled back", async (_, run) => {
    const error = new Error("at once");
    const outcome = await run(() => {
      throw error;
    });
    expectThat(outcome.status === "rolledBack" && outcome.error === error, "the error comes through");
  });

  test("a statement that fails and is swallowed is never told to be committed where it was undone", async (...given) => {
    const [tested, run] = given;
    await run(async (_, insert) => insert("a"));
    for (const [n, decides] of [false, true].entries()) {
      const texts = await tested.texts();
      const outcome = await run(async (unit, insert) => {
        await insert(`b${n}`);
        await insert("a").catch(() => undefined);
        if (decides) await unit.decide(newDecision(1));
      });
      const committed = outcome.status === "committed";
      expectThat(committed || outcome.status === "rolledBack", "the outcome is not in doubt");
      expectEqual(await tested.texts(), committed ? [...texts, `b${n}`] : texts, "the work");
      expectEqual((await decisionOf(tested, 1)) !== undefined, committed && decides, "whether there is a decision");
    }
  });

  test("a transaction runs at every isolation level that the database has", async (tested, run) => {
    for (const [n, isolation] of ISOLATIONS.entries()) {
      const outcome = await run(async (unit, insert) => {
        await insert(isolation);
        await unit.decide(newDecision(n));
      }, isolation);
      expectEqual(outcome.status, "committed", isolation);
      expectEqual((await decisionOf(tested, n))?.verdict, "committed", "the decision");
    }
    expectEqual(await tested.texts(), [...ISOLATIONS].sort(), "the work");
  });

  test("transactions one after the other do not disturb each other", async (tested, run) => {
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        run(async (unit, insert) => {
          await insert(`t${n}`);
          if (n % 2 === 0) throw new Error("no stock");
          await unit.decide(newDecision(n));
        }),
      ),
    );
    const odd = ["t1", "t3", "t5", "t7"];
    expectEqual(outcomes.filter(({ status }) => status === "committed").length, odd.length, "how many committed");
    expectEqual(await tested.texts(), odd, "the work");
  });
}

function cannotBeTalkedOver(test: RunTest): void {
  test("who comes late is undone, even where the work swallows the refusal", async (tested, run) => {
    for (const [n, isolation] of [undefined, ...ISOLATIONS].entries()) {
      await tested.other.barrier.intend(newIntent(n));
      await tested.other.barrier.rollBack(sampleId(n), AT, 0);
      const outcome = await run(async (unit, insert) => {
        await insert(`t${n}`);
        await unit.decide(newDecision(n)).catch(() => undefined);
      }, isolation);
      expectEqual(outcome.status, "late", `the outcome at ${isolation ?? "the database's own level"}`);
    }
    expectEqual(await tested.texts(), [], "the work");
  });

  test("who is refused in a part is undone with the rest, even where the part is rolled back alone", async (...given) => {
    const [tested, run] = given;
    await tested.other.barrier.intend(newIntent(1));
    await tested.other.barrier.rollBack(sampleId(1), AT, 0);
    await run((unit) => unit.consume(newConsumed("first", { outcome: "1" })));
    const late = await run(async (unit, insert) => {
      await unit.savepoint(() => unit.decide(newDecision(1))).catch(() => undefined);
      await insert("a").catch(() => undefined);
    });
    expectEqual(late.status, "late", "the outcome of who comes late");
    const duplicate = await run(async (unit, insert) => {
      await unit.savepoint(() => unit.consume(newConsumed("second"))).catch(() => undefined);
      await insert("a").catch(() => undefined);
    });
    expectEqual(duplicate, { status: "duplicate", outcome: "1" }, "the outcome of a duplicate");
    expectEqual(await tested.texts(), [], "the work");
  });

  test("a duplicate is undone, even where the work swallows the refusal and goes on", async (tested, run) => {
    await run((unit) => unit.consume(newConsumed("first", { outcome: "1" })));
    const outcome = await run(async (unit, insert) => {
      await unit.consume(newConsumed("second")).catch(() => undefined);
      await insert("a").catch(() => undefined);
    });
    expectEqual(outcome, { status: "duplicate", outcome: "1" }, "the outcome");
    expectEqual(await tested.texts(), [], "the work");
  });

  test("the work of a duplicate is not run after its message was refused", async (_, run) => {
    await run((unit) => unit.consume(newConsumed("first")));
    let ran = false;
    await run(async (unit) => {
      await unit.consume(newConsumed("second"));
      ran = true;
    });
    expectEqual(ran, false, "whether the work ran");
  });
}

function keepsOutcomes(test: RunTest): void {
  test("a duplicate is told the outcome that the work kept", async (tested, run) => {
    const { claim } = newConsumed();
    const kept = '{"receipt":"世界 \\u0000 🦊 \\\\ "}';
    await run(async (unit) => {
      await unit.consume(newConsumed());
      await unit.keepOutcome(claim, kept);
    });
    const second = await run((unit) => unit.consume(newConsumed("second")));
    expectEqual(second, { status: "duplicate", outcome: kept }, "the second outcome");
    const found = await tested.other.inbox.claim({ ...claim, token: "third" }, LONG);
    expectEqual(found, { state: "done", outcome: kept }, "another run's claim");
  });

  test("an outcome that is kept in a transaction that rolls back is not kept", async (tested, run) => {
    const { claim } = newConsumed();
    await run(async (unit) => {
      await unit.consume(newConsumed());
      await unit.keepOutcome(claim, "1");
      throw new Error("no stock");
    });
    expectEqual(await tested.other.inbox.look(claim), { state: "new" }, "the message");
  });
}

function savesPoints(test: RunTest): void {
  test("a part that throws is undone alone, and the rest is committed", async (tested, run) => {
    const { insert } = tested;
    const error = new Error("no stock");
    let came: unknown;
    const outcome = await run(async (unit) => {
      await insert!(unit.sql, "a");
      await unit
        .savepoint(async (sql) => {
          await insert!(sql, "b");
          throw error;
        })
        .catch((thrown: unknown) => (came = thrown));
      await insert!(unit.sql, "c");
      await unit.decide(newDecision(1));
    });
    expectEqual(outcome.status, "committed", "the outcome");
    expectThat(came === error, "what the part threw comes through");
    expectEqual(await tested.texts(), ["a", "c"], "the work");
    expectEqual((await decisionOf(tested, 1))?.verdict, "committed", "the decision");
  });

  test("a part whose statement fails is undone alone, and the rest is committed", async (tested, run) => {
    const { insert } = tested;
    const outcome = await run(async (unit) => {
      await insert!(unit.sql, "a");
      await unit
        .savepoint(async (sql) => {
          await insert!(sql, "b");
          await insert!(sql, "a");
        })
        .catch(() => undefined);
      await insert!(unit.sql, "c");
    });
    expectEqual(outcome.status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a", "c"], "the work");
  });

  test("a part that ends well resolves to what it came to, and is committed with the rest", async (tested, run) => {
    const { insert } = tested;
    const outcome = await run((unit) =>
      unit.savepoint(async (sql) => {
        await insert!(sql, "a");
        return 7;
      }),
    );
    expectEqual(outcome, { status: "committed", value: 7 }, "the outcome");
    expectEqual(await tested.texts(), ["a"], "the work");
  });

  test("parts within parts are undone as far as they threw", async (tested, run) => {
    const { insert } = tested;
    const outcome = await run(async (unit) => {
      await unit.savepoint(async (sql) => {
        await insert!(sql, "a");
        await unit
          .savepoint(async (inner) => {
            await insert!(inner, "b");
            throw new Error("no stock");
          })
          .catch(() => undefined);
        await insert!(sql, "c");
        await unit.savepoint((inner) => insert!(inner, "d"));
      });
      await unit
        .savepoint(async (sql) => {
          await insert!(sql, "e");
          await unit.savepoint((inner) => insert!(inner, "f"));
          throw new Error("no stock");
        })
        .catch(() => undefined);
    });
    expectEqual(outcome.status, "committed", "the outcome");
    expectEqual(await tested.texts(), ["a", "c", "d"], "the work");
  });

  test("a transaction that throws after its parts ended well leaves nothing of them", async (tested, run) => {
    const { insert } = tested;
    await run(async (unit) => {
      await unit.savepoint((sql) => insert!(sql, "a"));
      throw new Error("no stock");
    });
    expectEqual(await tested.texts(), [], "the work");
  });
}
