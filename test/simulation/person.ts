import { OperationError } from "aftercommit";
import type { DeadLetter, Operator } from "aftercommit";
import type { World } from "./world.ts";

/** A person looks after what waits for one: decides by looking at the business data, redrives, now and then discards. */
export async function person(world: World, operator: Operator): Promise<void> {
  const { oracle, faults } = world;
  for (const { transactionId } of (await operator.log.listHeld()).items) {
    const verdict = oracle.rows.orders.has(transactionId) ? "committed" : "rolledBack";
    oracle.judged.set(transactionId, verdict);
    await unlessGone(operator.decide(transactionId, verdict));
  }
  for (const letter of (await operator.log.listDead({ limit: 500 })).items) {
    const { key } = letter.record;
    if (faults.percent(30)) {
      oracle.touches(letter, true);
      await unlessGone(operator.discard(key));
    } else await unlessGone(redrive(world, operator, letter));
  }
}

/** What was published under a decision that turned out otherwise is sent anew only if the business work is there. */
async function redrive({ oracle }: World, operator: Operator, letter: DeadLetter): Promise<unknown> {
  const { key, transactionId } = letter.record;
  if (letter.reason === "conflict") {
    oracle.touches(letter, true);
    return oracle.rows.orders.has(transactionId) ? operator.redrive(key, { asNew: true }) : operator.discard(key);
  }
  const anew = (): Promise<unknown> => {
    oracle.touches(letter, true);
    return operator.redrive(key, { asNew: true });
  };
  // Its consumer may have forgotten by now whether it was done.
  if (letter.detail.includes("expired")) return anew();
  oracle.touches(letter, false);
  try {
    return await operator.redrive(key);
  } catch (error) {
    if (!OperationError.is(error) || error.code !== "ERR_EXPIRED") throw error;
    return anew();
  }
}

/** Others may have been quicker. */
async function unlessGone(act: Promise<unknown>): Promise<void> {
  try {
    await act;
  } catch (error) {
    if (!OperationError.is(error)) throw error;
  }
}
