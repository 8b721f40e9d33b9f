import { describe, expect, test } from "vitest";
import {
  atEachAwait,
  BEHAVIOURS,
  FAULTS,
  deliver,
  newWorld,
  orderFailed,
  orderPaid,
  outcomeOf,
  processWith,
  recover,
  start,
} from "./crash-world.ts";
import type { Behaviour, Process, World } from "./crash-world.ts";

/**
 * A crash, an error or a lost reply at each await of the main path, one after the other; then sound processes recover,
 * and the invariants must hold. The number of awaits is found by going on until a run reaches none with that number.
 */

const LEVELS = ["checked", "marked"] as const;
type Level = (typeof LEVELS)[number];

const effectsOf = (world: World, consumer: string) => world.effects.filter((effect) => effect.consumer === consumer);

/** The invariants of the design that hold at any level, once everything has settled. */
async function expectInvariants(world: World): Promise<void> {
  const counts = await world.store.reader.counts();
  expect(counts, "nothing is left unsettled or held").toMatchObject({ unsettled: 0, held: 0 });
  for (const [id, verdicts] of world.verdicts)
    expect([...verdicts], `the decision of ${id} never changes`).toHaveLength(1);

  const sent = new Set(world.transport.accepted.map(({ record }) => record.topic));
  expect(sent.has(orderPaid.name) && sent.has(orderFailed.name), "never both directions").toBe(false);
  for (const { record } of world.transport.accepted) {
    const verdict = [...(world.verdicts.get(record.transactionId) ?? ["committed"])][0];
    expect(verdict, `"${record.topic}" was sent`).toBe(record.on === "commit" ? "committed" : "rolledBack");
  }
  for (const { record } of world.transport.accepted) {
    const consumer = record.destination.split("/").at(-1)!;
    expect(effectsOf(world, consumer).length, `a sent delivery acts at "${consumer}"`).toBeGreaterThan(0);
  }
  const runs = new Map<string, Set<Process>>();
  for (const { consumer, messageId, by } of world.effects) {
    const key = `${consumer} ${messageId}`;
    const seen = runs.get(key) ?? new Set<Process>();
    expect(seen.has(by), `no process acts twice on ${key}`).toBe(false);
    runs.set(key, seen.add(by));
  }
  const archived = effectsOf(world, "archive");
  expect(archived.length, "a consumer's own message acts once, however often its parent ran").toBe(
    effectsOf(world, "receipt").length > 0 ? 1 : 0,
  );
}

/** At `checked` the business data decides; at `marked` the answer does, and a person what got none. */
function expectOutcome(world: World, level: Level, status: number | "died", held: number): void {
  const paid = effectsOf(world, "receipt").length;
  const written = world.orders.size > 0;
  if (level === "checked") {
    expect(held, "a check that answers leaves nothing to a person").toBe(0);
    expect(paid, "sent if, and only if, the order is there").toBe(written ? 1 : 0);
  } else if (status !== "died" && status < 400) {
    expect(paid, "a success is sent").toBe(1);
  }
  expect(effectsOf(world, "stock").length, "both destinations or none").toBe(paid);
}

describe.each(LEVELS)("a producer at the level %s", (level) => {
  const cases = BEHAVIOURS.flatMap((behaviour) => FAULTS.map((fault) => [behaviour, fault] as const));
  test.each(cases)(
    "whose handler %s, in a process that %s at any await, keeps the invariants",
    async (behaviour, fault) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = newWorld();
        const shop = start(world, process, level, behaviour);
        const answered = await outcomeOf(
          world,
          process,
          Promise.resolve(shop.app.request("/orders", { method: "POST" })),
        );
        if (answered !== "died") await outcomeOf(world, process, shop.ac.drain());
        const { held } = await recover(world, level);
        await expectInvariants(world);
        expectOutcome(world, level, answered === "died" ? "died" : answered.status, held);
      });
      expect(awaits).toBeGreaterThanOrEqual(3);
    },
  );
});

describe("a consumer", () => {
  test.each(FAULTS)("in a process that %s at any await is run again, and acts", async (fault) => {
    const awaits = await atEachAwait(fault, async (process) => {
      const world = await worldWithOrder("succeeds");
      const consumer = start(world, process, "checked");
      const undelivered = [];
      for (const dispatch of world.transport.take()) {
        const status = process.dead ? "died" : await deliver(world, consumer, dispatch, 1);
        if (status === 200) world.transport.markDelivered(dispatch);
        else undelivered.push(dispatch);
      }
      await world.clock.advance(31_000);
      const { held } = await recover(world, "checked", undelivered);
      expect(held, "what a dead run published is rolled back without a person").toBe(0);
      await expectInvariants(world);
      for (const name of ["receipt", "stock"]) {
        const effects = effectsOf(world, name);
        expect(effects.length).toBeGreaterThan(0);
        expect(effects.length, "an effect is repeated only where its run was cut off").toBeLessThanOrEqual(
          process.awaited.length > process.at ? 2 : 1,
        );
      }
    });
    expect(awaits).toBeGreaterThanOrEqual(8);
  });
});

describe("a sweeper", () => {
  const leftBehind: readonly (readonly [string, Behaviour, string])[] = [
    ["an undecided transaction with its order", "succeeds", "log.decide"],
    ["an undecided transaction without its order", "throws", "business.write"],
    ["a decided transaction that was not sent", "succeeds", "transport.publish"],
    ["a sent transaction that was not recorded", "succeeds", "log.record"],
  ];
  const cases = leftBehind.flatMap((left) => FAULTS.map((fault) => [left[0], fault, left] as const));
  test.each(cases)(
    "that finds %s and %s at any await leaves it to the next one",
    async (_name, fault, [, behaviour, diesAt]) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = newWorld();
        await dieAt(world, behaviour, diesAt);
        const sweeper = start(world, process, "checked");
        for (let round = 0; round < 4 && !process.dead; round++) {
          await outcomeOf(world, process, sweeper.ac.operator().sweep({ audit: false })).catch(() => undefined);
          await world.clock.advance(130_000);
        }
        await recover(world, "checked");
        await expectInvariants(world);
        expectOutcome(world, "checked", "died", 0);
      });
      expect(awaits).toBeGreaterThanOrEqual(3);
    },
  );
});

/** A world with one order, its messages at the transport and not delivered yet. */
async function worldWithOrder(behaviour: Behaviour): Promise<World> {
  const world = newWorld();
  const process = processWith();
  const shop = start(world, process, "checked", behaviour);
  await outcomeOf(world, process, Promise.resolve(shop.app.request("/orders", { method: "POST" })));
  await outcomeOf(world, process, shop.ac.drain());
  return world;
}

/** A request whose process dies before the first await of that name; where there is none, right after the first publish. */
async function dieAt(world: World, behaviour: Behaviour, name: string): Promise<void> {
  const rehearsal = newWorld();
  const trial = processWith();
  const rehearsed = start(rehearsal, trial, "checked", behaviour);
  await outcomeOf(rehearsal, trial, Promise.resolve(rehearsed.app.request("/orders", { method: "POST" })));
  await outcomeOf(rehearsal, trial, rehearsed.ac.drain());
  const found = trial.awaited.indexOf(name);
  const process = processWith("diesBefore", found < 0 ? 1 : found);
  const shop = start(world, process, "checked", behaviour);
  const answered = await outcomeOf(world, process, Promise.resolve(shop.app.request("/orders", { method: "POST" })));
  if (answered !== "died") await outcomeOf(world, process, shop.ac.drain());
  expect(process.dead).toBe(true);
}
