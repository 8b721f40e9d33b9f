import { array, asyncProperty, constantFrom, nat, record, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { AftercommitError } from "aftercommit";
import { openBarrier } from "../../src/core/barrier-transaction.ts";
import { halfMessages } from "../../src/core/half-message.ts";
import { memoryDatabase } from "../../src/memory/index.ts";
import type { MemorySql } from "../../src/memory/index.ts";
import type { DeliveryRecord } from "../../src/model/delivery.ts";
import { sampleId } from "../../src/testing/samples.ts";
import { orderPaid } from "../support/world.ts";
import { alwaysHolds, holds, isCaught, race, raceWorld, scheduled, serviceOf, turn } from "./race.ts";

const ID = sampleId(1);

const rides = "a message whose publish was accepted is in the row that committed, once";
const refused = "a message whose publish was refused is in no row";
const told = "without a commit there is no row, and what was accepted is told of as left";
const over = "after the end everything is refused";
const business = "the business work stands exactly where the row does";

interface Plan {
  /** How many publish beside the work. */
  readonly beside: number;
  /** How many are published within it, and how many of these in a savepoint that is undone. */
  readonly within: number;
  readonly undone: number;
  /** How the work goes: on its last try, where it is tried again. */
  readonly ends: "commits" | "throws" | "conflicts" | "commitLost" | "commitReplyLost";
}

const plans = record({
  beside: nat(4),
  within: nat(3),
  undone: nat(2),
  ends: constantFrom<Plan["ends"]>("commits", "commits", "throws", "conflicts", "commitLost", "commitReplyLost"),
});

/** The part of a transaction that a race is about. */
type Open = typeof openBarrier;

async function publishing(s: Scheduler, plan: Plan, seconds: readonly number[], open: Open): Promise<void> {
  const base = raceWorld();
  const main = memoryDatabase({ clock: base.clock });
  const database = scheduled(s, main, "run");
  const service = serviceOf(base, { databases: { main: database }, log: undefined });
  const core = {
    ...service.core,
    routes: async (topic: string) => {
      await turn(s, "a message is made");
      return service.core.routes(topic);
    },
  };
  if (plan.ends === "conflicts") main.fail("commit");
  if (plan.ends === "commitLost" || plan.ends === "commitReplyLost") main.fail(plan.ends);
  const { tx, close } = open(core, { id: ID, database: "main", opened: database });
  const accepted = new Set<string>();
  const declined: string[] = [];
  const undone = new Set<string>();
  /** In which try of the work a message was published; beside the work it is taken for a part of the try that runs. */
  const triedIn = new Map<string, number>();
  let tries = 0;
  let working = false;
  let messages = 0;

  const publish = async (): Promise<string | undefined> => {
    const orderId = `order ${messages++}`;
    if (working) triedIn.set(orderId, tries);
    try {
      await tx.publish(orderPaid, { orderId });
      accepted.add(orderId);
      return orderId;
    } catch (error) {
      if (!AftercommitError.is(error)) throw error;
      declined.push(orderId);
      return undefined;
    }
  };
  const beside = async (who: string): Promise<void> => {
    await turn(s, who);
    await publish();
  };
  const work = async (sql: unknown): Promise<void> => {
    tries++;
    working = true;
    try {
      await worked(sql);
    } finally {
      working = false;
    }
  };
  const worked = async (sql: unknown): Promise<void> => {
    await (sql as MemorySql).insert("work", true);
    // In a savepoint nobody else publishes: whose message it is that is undone could not be told.
    if (plan.undone > 0 && plan.beside === 0) {
      const part = tx.savepoint(async () => {
        for (let i = 0; i < plan.undone; i++) undone.add((await publish()) ?? "");
        throw new Error("undone");
      });
      await part.catch(() => undefined);
    }
    await Promise.all(Array.from({ length: plan.within }, publish));
    if (plan.ends === "throws") throw new Error("the work failed");
  };
  const run = async (): Promise<void> => {
    await turn(s, "run");
    await tx.run("main", work as never, { retries: 1 }).catch(() => undefined);
  };
  const closing = async () => {
    for (let i = 0; i < seconds.length; i++) await turn(s, "the handler goes on");
    return close();
  };
  const time = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      await turn(s, "time passes");
      await base.clock.advance(5_000);
    }
  };
  const closed = closing();
  await race(s, run(), closed, time(), ...Array.from({ length: plan.beside }, (_, i) => beside(`publisher ${i}`)));

  const { phase, waiting, dropped } = await closed;
  const found = (await main.barrier.find([ID])).get(ID);
  const row = found?.state === "decided" ? found.row : undefined;
  const inRow = ordersOf(row?.records ?? []);
  const due = [...accepted]
    .filter((orderId) => !undone.has(orderId) && (triedIn.get(orderId) ?? tries) === tries)
    .sort();
  holds(
    declined.every((orderId) => !inRow.includes(orderId)),
    refused,
  );
  const stood = main.table().has("work");
  if (row !== undefined) {
    holds(JSON.stringify(due) === JSON.stringify(inRow), rides);
    holds(stood, business);
  } else if (phase === "committed" || (phase === "unknown" && stood)) holds(due.length === 0, rides);
  else {
    holds(!stood, business);
    if (phase === "open") {
      const left = ordersOf(waiting);
      holds(
        left.every((orderId) => accepted.has(orderId)),
        told,
      );
      holds(left.length === 0 || dropped, told);
    }
  }
  const isRefused = async (call: Promise<unknown>): Promise<boolean> => {
    const answer = call.then(
      () => false,
      (error: unknown) => AftercommitError.is(error),
    );
    await s.waitFor(answer);
    return answer;
  };
  const late = await isRefused(tx.publish(orderPaid, { orderId: "late" }));
  const again = await isRefused(tx.run("main", async () => {}));
  holds(late && again, over);
}

function ordersOf(records: readonly DeliveryRecord[]): readonly string[] {
  return records.map(({ body }) => (JSON.parse(body) as { data: { orderId: string } }).data.orderId).sort();
}

const property = (open: Open) =>
  asyncProperty(scheduler(), plans, array(nat(1), { maxLength: 12 }), (s, plan, turns) =>
    publishing(s, plan, turns, open),
  );

describe("messages are published beside and within the work, while the handler ends", () => {
  test(`${rides}; ${refused}; ${told}; ${business}; ${over}`, () => alwaysHolds(property(openBarrier), 500), 120_000);

  /** A transaction with a mistake: what is published waits in one list, which the row takes along. */
  const wrong =
    (mistake: "does not wait for publishes" | "takes publishes after its row"): Open =>
    (core, options) => {
      const open = openBarrier(core, options);
      const { id, opened } = options;
      const records: DeliveryRecord[] = [];
      const underWay = new Set<Promise<unknown>>();
      let index = 0;
      let decided = false;
      let ended = false;
      const close: typeof open.close = () => {
        ended = true;
        return open.close();
      };
      const publish: typeof open.tx.publish = async (topic, data, publishOptions = {}) => {
        if (decided || ended) return open.tx.publish(topic, data, publishOptions);
        const made = halfMessages(core, options, index++, topic, data, publishOptions);
        underWay.add(made);
        records.push(...(await made));
        return { id };
      };
      const run = async (_: string, work: (sql: unknown) => Promise<unknown>): Promise<void> => {
        if (decided || ended) return open.tx.run("main", work as never);
        await opened!.run!(async (unit) => {
          records.length = 0;
          await work(unit.sql);
          if (mistake !== "does not wait for publishes") await Promise.all(underWay);
          decided = mistake !== "takes publishes after its row";
          const decision = { transactionId: id, source: core.settings.source, at: core.clock.now(), dueMillis: 0 };
          await unit.decide({ ...decision, records: [...records] });
        });
        await close();
      };
      return { close, tx: { ...open.tx, publish, run: run as never } };
    };

  test.each(["does not wait for publishes", "takes publishes after its row"] as const)(
    "an order is found in which a transaction shows that %s",
    (mistake) => isCaught(property(wrong(mistake)), new RegExp(`${rides}|${refused}`)),
    120_000,
  );
});
