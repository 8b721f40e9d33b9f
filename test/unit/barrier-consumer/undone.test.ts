import { describe, expect, test } from "vitest";
import { topic } from "aftercommit";
import * as z from "zod/mini";
import { act, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { MemorySql } from "../../support/barrier-consumer-world.ts";
import { orderPaid } from "../../support/world.ts";

const printed = topic("receipt.printed", z.object({ orderId: z.string() }));
const torn = topic("receipt.torn", z.object({ orderId: z.string() }));
const routes = { [printed.name]: "/consumers/p", [torn.name]: "/consumers/t", [orderPaid.name]: "/consumers/receipt" };

/** Work that is rolled back. */
async function failingAct(sql: MemorySql): Promise<never> {
  await act(sql);
  throw new Error("the paper is torn");
}

describe.each(INBOXES)("a consumer whose inbox is %s", (inbox) => {
  test("that finds its message done sends no compensation", async () => {
    const w = consumingWorld();
    const service = w.receipts(
      inbox,
      async (message) => {
        await message.tx.publish(torn, message.data, { on: "rollback" });
        await message.tx.publish(printed, message.data);
        await message.run("main", act);
      },
      {},
      { routes },
    );
    expect((await w.arrive(service)).status).toBe(200);
    flushAll(w);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    await w.clock.advance(300_000);
    await service.ac.operator().sweep({ audit: true });
    expect(w.sent()).toEqual([printed.name]);
  });

  test("that hides that its work was rolled back sends none of what was to ride with it", async () => {
    const w = consumingWorld();
    const service = w.receipts(
      inbox,
      async (message) => {
        await message.tx.publish(printed, message.data);
        await message.run("main", failingAct).catch(() => undefined);
      },
      {},
      { routes },
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect([w.effects(), w.sent()]).toEqual([0, []]);
  });

  test("that hides that its work was rolled back sends what it publishes after that", async () => {
    const w = consumingWorld();
    const service = w.receipts(
      inbox,
      async (message) => {
        await message.tx.publish(printed, message.data);
        await message.run("main", failingAct).catch(() => undefined);
        await message.tx.publish(torn, message.data);
      },
      {},
      { routes },
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect([w.effects(), w.sent()]).toEqual([0, [torn.name]]);
  });

  test("that hides that its work was rolled back sends what undoes it", async () => {
    const w = consumingWorld();
    const service = w.receipts(
      inbox,
      async (message) => {
        await message.tx.publish(torn, message.data, { on: "rollback" });
        await message.tx.publish(printed, message.data);
        await message.run("main", failingAct).catch(() => undefined);
      },
      {},
      { routes },
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect([w.effects(), w.sent()]).toEqual([0, [torn.name]]);
  });

  test("answers the first delivery and its duplicates with what the work returned", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, async (message) => {
      await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        return "work";
      });
      return "handler";
    });
    const outcomes = [(await w.arrive(service)).body.outcome, (await w.arrive(service)).body.outcome];
    flushAll(w);
    outcomes.push((await w.arrive(service)).body.outcome);
    expect(outcomes).toEqual(["work", "work", "work"]);
  });
});
