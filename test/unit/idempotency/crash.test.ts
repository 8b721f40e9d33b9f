import { describe, expect, test } from "vitest";
import { atEachAwait, FAULTS, processWith } from "../../e2e/crash-world.ts";
import type { Process } from "../../e2e/crash-world.ts";
import { ask, askUntilTold, effects, expectOnce, isFinal, LEVELS, newWorld, start } from "./crash-world.ts";
import type { CrashWorld, Level, Told } from "./crash-world.ts";

/**
 * A crash, an error or a lost reply at each await of a request with a key, one after the other; the caller makes it again
 * until it is told what came of it. One effect a key, and the caller is told of it.
 */

describe.each(LEVELS)("a request with a key, %s", (level) => {
  const cases = FAULTS.flatMap((fault) => [false, true].map((compensates) => [fault, compensates] as const));
  test.each(cases)(
    "in a process that %s at any await (with messages for a rollback: %s), is done once, and the caller is told",
    async (fault, compensates) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const w = newWorld(level, compensates);
        await expectOnce(w, await askUntilTold(w, await ask(w, start(w, process))), process);
      });
      expect(awaits).toBeGreaterThanOrEqual(5);
    },
  );
});

describe.each(LEVELS.filter((level) => level !== "marked"))("a request with a key, %s", (level) => {
  test.each(FAULTS)(
    "that takes over from a process that died anywhere, in one that %s at any await, is done once",
    async (fault) => {
      for (const diesAt of await deathsOf(level)) {
        await atEachAwait(fault, async (process) => {
          const w = newWorld(level, true);
          const first = processWith("diesBefore", diesAt);
          await ask(w, start(w, first));
          await w.base.clock.advance(31_000);
          await expectOnce(w, await askUntilTold(w, await ask(w, start(w, process))), process);
        });
      }
    },
  );

  test.each(FAULTS)(
    "that was done, asked for again in a process that %s at any await, is not done again",
    async (fault) => {
      await atEachAwait(fault, async (process) => {
        const w = newWorld(level);
        const first = await ask(w, start(w, processWith()));
        expect(isFinal(first)).toBe(true);
        const again = await askUntilTold(w, await ask(w, start(w, process)));
        expect(again).toEqual(first);
        expect(effects(w)).toHaveLength(1);
      });
    },
  );
});

/** Where a first run dies: on record or not, in its work, at its decision, before its answer is kept. */
const DEATHS = /\.claim$|^business|^database\.(commit|batch)$|^log\.decide$|\.complete$/;

/** The numbers of those awaits in a request without faults. */
async function deathsOf(level: Level): Promise<readonly number[]> {
  const w = newWorld(level, true);
  const process = processWith();
  await ask(w, start(w, process));
  const deaths = process.awaited.flatMap((name, i) => (DEATHS.test(name) ? [i] : []));
  expect(deaths.length).toBeGreaterThanOrEqual(4);
  return deaths;
}

describe.each(["barrier with run", "barrier with batch", "barrier without a log"] as const)(
  "a process that stands still, %s",
  (level) => {
    test("past its lease cannot commit any more once another has taken its key over", async () => {
      const w = newWorld(level, true);
      const { told, other } = await overtaken(w, processWith());
      expect(told).toMatchObject({ status: 500 });
      expect(other).toMatchObject({ status: 201 });
      await expectOnce(w, await askUntilTold(w, other), processWith());
    });

    test("past its lease, and commits before another has taken its key over, is found to have committed", async () => {
      const w = newWorld(level);
      const told = await ask(
        w,
        start(w, processWith(), () => standStill(w)),
      );
      expect(told).toMatchObject({ status: 201 });
      const { transactionId } = told as Told;
      const other = await ask(w, start(w, processWith()));
      expect(other).toMatchObject({ status: 409, code: "answer-not-kept", transactionId });
      await expectOnce(w, other as Told, processWith());
    });
  },
);

/** Lets the lease lapse, as of a process that gets no time. */
async function standStill(w: CrashWorld, meanwhile?: () => Promise<void>): Promise<void> {
  const { inbox } = w.main;
  const { renew } = inbox;
  Object.assign(inbox, { renew: () => Promise.reject(new Error("out of reach")) });
  await w.base.clock.advance(31_000);
  Object.assign(inbox, { renew });
  await meanwhile?.();
}

/** A request whose lease lapses, so that another process does it meanwhile. */
async function overtaken(w: CrashWorld, process: Process) {
  let other: Told | "died" = "died";
  const during = () =>
    standStill(w, async () => {
      other = await ask(w, start(w, processWith()));
    });
  const told = await ask(w, start(w, process, during));
  return { told, other: other as Told | "died" };
}
