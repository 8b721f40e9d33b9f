import { array, asyncProperty, boolean, constantFrom, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { OperationError } from "aftercommit";
import type { CheckAnswer, Verdict } from "aftercommit";
import { endTransaction } from "../../src/core/decide.ts";
import { sweep } from "../../src/core/sweep.ts";
import { openTransaction } from "../../src/core/transaction.ts";
import { operatorOf } from "../../src/operations/operator.ts";
import type { TransactionLog } from "../../src/ports/transaction-log.ts";
import { orderPaid } from "../support/world.ts";
import { sampleId } from "../../src/testing/samples.ts";
import { alwaysHolds, holds, isCaught, race, raceWorld, scheduled, serviceOf, turn } from "./race.ts";

const ID = sampleId(1);
const DEADLINE = 120_000;
const fixed = "a decision never changes, and everyone is told the same";
const sent = "a message is sent if, and only if, its transaction is committed";
const lost = "a committed message is sent in the end";

type Answers = readonly CheckAnswer[];

/** A request, sweeps that ask a check, and a person decide about one transaction. */
async function deciders(
  s: Scheduler,
  success: boolean,
  answers: Answers,
  person: Verdict,
  decideOf?: (log: TransactionLog) => TransactionLog["decide"],
): Promise<void> {
  const base = raceWorld();
  let asked = 0;
  const checks = { orders: () => answers[asked++ % answers.length]! };
  const seen = new Set<Verdict>();
  const { transactions } = base.store;
  const decide = decideOf?.(transactions) ?? transactions.decide;
  const watched = {
    ...base.store,
    transactions: {
      ...transactions,
      async decide(...args: Parameters<typeof decide>) {
        const decision = await decide(...args);
        seen.add(decision.verdict);
        return decision;
      },
      async decisions(ids: readonly string[]) {
        const found = await transactions.decisions(ids);
        for (const decision of found.values()) seen.add(decision.verdict);
        return found;
      },
    },
  };
  const as = (who: string) => serviceOf(base, { log: scheduled(s, watched, who), checks });
  const open = openTransaction(serviceOf(base, { checks }).core, { id: ID, check: "orders" });
  await open.tx.publish(orderPaid, { orderId: "1" });
  await base.clock.advance(DEADLINE + 1);

  const request = async (): Promise<void> => {
    const { core } = as("request");
    const { afterwards } = await endTransaction(core, await open.close(), success);
    await afterwards?.();
  };
  const sweeper = async (who: string): Promise<void> => {
    for (let i = 0; i < 2; i++) {
      await turn(s, who);
      await sweep(as(who).core, { audit: false });
    }
  };
  const someone = async (): Promise<void> => {
    await turn(s, "person");
    try {
      await operatorOf(as("person")).decide(ID, person);
    } catch (error) {
      // Decided the other way, or finished and gone: a person is told so.
      if (!OperationError.is(error)) throw error;
    }
  };
  const time = async (): Promise<void> => {
    for (let i = 0; i < 2; i++) {
      await turn(s, "time passes");
      await base.clock.advance(70_000);
    }
  };
  await race(s, request(), sweeper("sweeper 1"), sweeper("sweeper 2"), someone(), time());
  // All is quiet; a sweeper of its own finishes what is left.
  const { core } = serviceOf(base, { log: base.store, checks });
  for (let i = 0; i < 4; i++) {
    await base.clock.advance(70_000);
    await sweep(core, { audit: false });
  }
  const decision = (await transactions.decisions([ID])).get(ID);
  if (decision !== undefined) seen.add(decision.verdict);
  holds(seen.size <= 1, fixed);
  const count = base.transport.accepted.length;
  holds(count === 0 || decision?.verdict === "committed", sent);
  holds(decision?.verdict !== "committed" || count === 1, lost);
}

const answers = array(constantFrom<CheckAnswer>("committed", "rolledBack", "unknown"), { minLength: 1, maxLength: 4 });
const verdict = constantFrom<Verdict>("committed", "rolledBack");

describe("a request, sweeps that ask a check, and a person decide about one transaction", () => {
  test(
    `${fixed}; ${sent}; ${lost}`,
    () =>
      alwaysHolds(
        asyncProperty(scheduler(), boolean(), answers, verdict, (s, success, said, person) =>
          deciders(s, success, said, person),
        ),
        400,
      ),
    120_000,
  );

  test(
    "an order is found in which a wrong log shows: the last one wins",
    () =>
      isCaught(
        asyncProperty(scheduler(), boolean(), answers, verdict, (s, success, said, person) =>
          deciders(s, success, said, person, (log) => async (id, chosen, at) => {
            await log.decide(id, chosen, at);
            return { verdict: chosen, decidedAt: at };
          }),
        ),
        new RegExp(`${fixed}|${sent}`),
      ),
    120_000,
  );

  test(
    "an order is found in which a wrong log shows: it looks, and writes after that",
    () =>
      isCaught(
        asyncProperty(scheduler(), boolean(), answers, verdict, (s, success, said, person) =>
          deciders(s, success, said, person, (log) => async (id, chosen, at) => {
            const standing = (await log.decisions([id])).get(id);
            await turn(s, "the log waits");
            if (standing !== undefined) return standing;
            await log.decide(id, chosen, at);
            return { verdict: chosen, decidedAt: at };
          }),
        ),
        new RegExp(`${fixed}|${sent}`),
      ),
    120_000,
  );
});
