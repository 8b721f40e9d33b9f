import { describe, expect, test } from "vitest";
import { intentKeeper } from "../../../src/core/intent.ts";
import type { NewIntent } from "../../../src/ports/barrier.ts";
import type { AnyDatabase } from "../../../src/ports/database.ts";
import { LONG, sampleId, sampleRecord } from "../../../src/testing/samples.ts";
import { serviceOf } from "../../races/race.ts";
import { memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import { gate, settled } from "../../support/world.ts";

const ID = sampleId(1);
const undo = (index: number) => sampleRecord({ index, on: "rollback", deadlineMillis: LONG });

/** A keeper whose writes `intend` does. */
function keeperOf(intend: (intent: NewIntent, write: () => Promise<boolean>) => Promise<boolean>) {
  const w = memoryWorld();
  const asked: NewIntent[] = [];
  const database = {
    ...w.database,
    barrier: {
      ...w.database.barrier,
      intend(intent: NewIntent) {
        asked.push(intent);
        return intend(intent, () => w.database.barrier.intend(intent));
      },
    },
  } as AnyDatabase;
  const { core } = serviceOf(w, { databases: { main: database } });
  const keeper = intentKeeper(core, ID, (act) => act(database));
  return { w, core, keeper, database, asked, indexes: () => asked.map(({ records }) => records.map((r) => r.index)) };
}

describe("messages for a rollback", () => {
  test("are kept one call after the other, each with all before it, under numbers that rise", async () => {
    const { passed, open } = gate();
    let first = true;
    const { w, core, keeper, asked, indexes } = keeperOf(async (_, write) => {
      if (first) {
        first = false;
        await passed;
      }
      return write();
    });
    expect(keeper.kept).toBe(false);
    const adding = Promise.all([keeper.add([undo(0)]), keeper.add([undo(1), undo(2)])]);
    await settled();
    expect([keeper.kept, indexes()]).toEqual([true, [[0]]]);
    open();
    await adding;
    expect(indexes()).toEqual([[0], [0, 1, 2]]);
    expect(asked.map(({ sequence }) => sequence)).toEqual([1, 2]);
    const { deadlineMillis } = core.settings;
    expect(asked[0]).toMatchObject({ transactionId: ID, source: SOURCE, at: w.clock.now(), dueMillis: deadlineMillis });
  });

  test("may take the place of others", async () => {
    const { keeper, indexes } = keeperOf((_, write) => write());
    const [a, b] = [undo(0), undo(1)];
    await keeper.add([a, b]);
    await keeper.add([undo(2)], [a]);
    expect(indexes()).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  test("that could not be kept are not part of the next write, and are taken out of the row in the end", async () => {
    let failing = true;
    const { keeper, database, indexes } = keeperOf(async (_, write) => {
      const kept = await write();
      if (failing) throw new Error("the reply was lost");
      return kept;
    });
    await expect(keeper.add([undo(0)])).rejects.toMatchObject({ code: "ERR_DATABASE_UNAVAILABLE" });
    expect(keeper.kept).toBe(true);
    failing = false;
    await keeper.correct(database);
    expect(indexes()).toEqual([[0], []]);
    await keeper.add([undo(1)]);
    await keeper.correct(database);
    expect(indexes()).toEqual([[0], [], [1]]);
  });

  test("are refused once the transaction is decided, and the ones after them too", async () => {
    const { keeper } = keeperOf(async () => false);
    for (let n = 0; n < 2; n++) {
      await expect(keeper.add([undo(n)])).rejects.toMatchObject({
        name: "TransactionStateError",
        transactionId: ID,
        hint: expect.any(String),
      });
    }
  });

  test("under way are waited for before anything is corrected", async () => {
    const { passed, open } = gate();
    const { keeper, database, indexes } = keeperOf(async () => {
      await passed;
      throw new Error("down");
    });
    const adding = keeper.add([undo(0)]).catch(() => undefined);
    const correcting = keeper.correct(database).catch(() => undefined);
    await settled();
    expect(indexes()).toEqual([[0]]);
    open();
    await adding;
    await correcting;
    expect(indexes()).toEqual([[0], []]);
  });
});
