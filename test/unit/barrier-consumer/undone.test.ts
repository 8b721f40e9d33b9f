import { describe, expect, test } from "vitest";
import { topic } from "aftercommit";
import * as z from "zod/mini";
import { act, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { MemorySql } from "../../support/barrier-consumer-world.ts";
import { gate, orderPaid, settled } from "../../support/world.ts";

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

  test("that hides that its work was rolled back, and dies before that is decided, is undone by a sweep", async () => {
    const w = consumingWorld();
    const { barrier } = w.main;
    const hanging = { ...w.main, barrier: { ...barrier, rollBack: () => new Promise<undefined>(() => undefined) } };
    const handler: Parameters<typeof w.receipts>[1] = async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await message.run("main", failingAct).catch(() => undefined);
    };
    const dying = w.receipts(inbox, handler, {}, { routes, databases: { main: hanging } });
    void w.post1(dying.app);
    await settled();
    const { ac } = w.consuming(inbox, { routes });
    for (let n = 0; n < 3; n++) {
      await w.clock.advance(300_000);
      await ac.operator().sweep({ audit: true });
    }
    expect([w.effects(), w.sent()]).toEqual([0, [torn.name]]);
  });

  test("that fails after it lost its lease, and another run did the message, sends no compensation", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    let runs = 0;
    const service = w.receipts(
      inbox,
      async (message) => {
        const first = ++runs === 1;
        await message.tx.publish(torn, message.data, { on: "rollback" });
        if (!first) return message.run("main", act);
        await passed;
        throw new Error("too late");
      },
      {},
      { routes },
    );
    const late = w.post1(service.app);
    await settled();
    await w.lapse();
    expect((await w.arrive(service, { attempt: 2 })).status).toBe(200);
    open();
    expect((await late).status).toBe(500);
    await w.clock.advance(300_000);
    await service.ac.operator().sweep({ audit: true });
    expect([w.effects(), w.sent()]).toEqual([1, []]);
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
