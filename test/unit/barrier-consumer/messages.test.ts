import { describe, expect, test } from "vitest";
import { FatalError, topic } from "aftercommit";
import type { AftercommitOptions, ConsumerHandler, PublishedMessage } from "aftercommit";
import * as z from "zod/mini";
import { act, acting, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { ConsumingWorld, InboxKind, MemorySql, Order } from "../../support/barrier-consumer-world.ts";

const printed = topic("receipt.printed", z.object({ orderId: z.string() }));
const filed = topic("receipt.filed", z.object({ orderId: z.string() }));
const torn = topic("receipt.torn", z.object({ orderId: z.string() }));

/** A consumer that may publish. */
function producing(w: ConsumingWorld, inbox: InboxKind, handler: ConsumerHandler<Order>, more: More = {}) {
  const routes = Object.fromEntries([printed, filed, torn].map(({ name }) => [name, `/consumers/${name}`]));
  return w.receipts(inbox, handler, {}, { routes, ...more });
}
type More = Partial<AftercommitOptions>;

/** What is committed in the database besides the user's table, by kind. */
function rows(w: ConsumingWorld, kind: "decision" | "inbox/done" | "intent"): number {
  return w.main.snapshot().filter(([key]) => key.startsWith(`${kind}/`)).length;
}

describe.each(INBOXES)("what a consumer publishes, with %s as the inbox,", (inbox) => {
  test("before and inside of message.run rides in the transaction of the effect, and goes out once", async () => {
    const w = consumingWorld();
    const calls: number[] = [];
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(printed, message.data);
      await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        await message.tx.publish(filed, message.data);
        expect(w.main.snapshot(), "nothing of it is there before the COMMIT").toEqual(leases(w));
      });
      expect(rows(w, "decision"), "all of it is there after the COMMIT").toBe(1);
      expect(rows(w, "inbox/done")).toBe(1);
      calls.push(w.transport.calls.length);
    });
    expect((await w.arrive(service)).status).toBe(200);
    expect(calls, "nothing is sent before the handler has ended").toEqual([0]);
    flushAll(w);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    expect(w.effects()).toBe(1);
    expect(w.sent()).toEqual([printed.name, filed.name]);
    expect(await w.main.reader.counts(source)).toMatchObject({ unsettled: 0, decisions: 1 });
  });

  test("goes out although the handler throws after its COMMIT", async () => {
    const w = consumingWorld();
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(printed, message.data);
      await message.run("main", act);
      throw new FatalError("too late");
    });
    expect((await w.arrive(service)).status).toBe(489);
    expect(w.effects()).toBe(1);
    expect(w.sent()).toEqual([printed.name]);
  });

  test("does not go out where message.run throws, and goes out once where a later attempt commits", async () => {
    const w = consumingWorld();
    let attempts = 0;
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(printed, message.data);
      await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        await message.tx.publish(filed, message.data);
        if (++attempts < 3) throw new Error("not yet");
      });
    });
    for (const attempt of [1, 2]) {
      expect((await w.arrive(service, { attempt })).status).toBe(500);
      expect([w.effects(), rows(w, "decision"), rows(w, "inbox/done")]).toEqual([0, 0, 0]);
    }
    expect(w.sent()).toEqual([]);
    expect((await w.arrive(service, { attempt: 3 })).status).toBe(200);
    expect(w.effects()).toBe(1);
    expect(w.sent()).toEqual([printed.name, filed.name]);
  });

  test("in a handler without message.run goes out if and only if the message is done", async () => {
    const w = consumingWorld();
    let runs = 0;
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(printed, message.data);
      if (++runs === 1) throw new Error("not yet");
      return "printed";
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect([rows(w, "decision"), rows(w, "inbox/done")]).toEqual([0, 0]);
    expect((await w.arrive(service, { attempt: 2 })).body).toEqual({
      status: "done",
      duplicate: false,
      outcome: "printed",
    });
    expect([rows(w, "decision"), rows(w, "inbox/done")]).toEqual([1, 1]);
    flushAll(w);
    expect((await w.arrive(service, { attempt: 3 })).body).toEqual({
      status: "done",
      duplicate: true,
      outcome: "printed",
    });
    expect(w.sent()).toEqual([printed.name]);
    expect(await w.main.reader.counts(source)).toMatchObject({ unsettled: 0, decisions: 1 });
  });

  test.each(["commitLost", "commitReplyLost"] as const)(
    "in a handler without message.run goes out once, where the answer of its COMMIT is lost (%s)",
    async (fault) => {
      const w = consumingWorld();
      const service = producing(w, inbox, (message) => message.tx.publish(printed, message.data));
      w.main.fail(fault);
      expect((await w.arrive(service)).status).toBe(500);
      await w.lapse();
      expect((await w.arrive(service, { attempt: 2 })).status).toBe(200);
      await w.clock.advance(60_000);
      await service.ac.operator().sweep({ audit: true });
      expect(w.sent()).toEqual([printed.name]);
      expect(rows(w, "inbox/done")).toBe(1);
    },
  );

  test("has an id that derives from the message, so that a rerun's is the same, and a transaction that does not", async () => {
    const w = consumingWorld();
    const seen: { message: PublishedMessage; transaction: string }[] = [];
    const service = producing(w, inbox, async (message) => {
      seen.push({ message: await message.tx.publish(printed, message.data), transaction: message.tx.id });
      await message.run("main", act);
    });
    w.main.fail("commitLost");
    await w.arrive(service);
    await w.arrive(service, { attempt: 2 });
    expect(seen).toHaveLength(2);
    expect(seen[0]!.message.id).toBe(seen[1]!.message.id);
    expect(seen[0]!.transaction).not.toBe(seen[1]!.transaction);
    const [{ body, record }] = w.transport.accepted as [(typeof w.transport.accepted)[0]];
    expect(record).toMatchObject({ messageId: seen[0]!.message.id, transactionId: seen[1]!.transaction });
    expect(JSON.parse(body)).toMatchObject({
      causationid: "message-1",
      traceparent: expect.stringMatching(/^00-0af7/),
    });
  });

  test("for a rollback goes out where message.run throws, and nothing else does", async () => {
    const w = consumingWorld();
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      expect(rows(w, "intent"), "it is kept before the participant is called").toBe(1);
      await message.tx.publish(printed, message.data);
      await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        throw new FatalError("no");
      });
    });
    expect((await w.arrive(service)).status).toBe(489);
    expect(w.effects()).toBe(0);
    expect(w.sent()).toEqual([torn.name]);
    expect(await w.main.reader.counts(source)).toMatchObject({ unsettled: 0, decisions: 1 });
  });

  test("for a rollback does not go out where message.run commits", async () => {
    const w = consumingWorld();
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      await message.run("main", act);
    });
    expect((await w.arrive(service)).status).toBe(200);
    await w.clock.advance(300_000);
    await service.ac.operator().sweep({ audit: true });
    expect(w.sent()).toEqual([]);
    expect(await w.main.reader.counts(source)).toMatchObject({ unsettled: 0, decisions: 1 });
  });

  test("for a rollback goes out where the handler throws without message.run, and not where it succeeds", async () => {
    const w = consumingWorld();
    let runs = 0;
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(torn, message.data, { on: "rollback" });
      if (++runs === 1) throw new Error("no");
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.sent()).toEqual([torn.name]);
    expect((await w.arrive(service, { attempt: 2 })).status).toBe(200);
    await w.clock.advance(300_000);
    await service.ac.operator().sweep({ audit: true });
    expect(w.sent()).toEqual([torn.name]);
    expect(await w.main.reader.counts(source)).toMatchObject({ unsettled: 0, decisions: 2 });
  });

  test("rides in the batch of its effect", async () => {
    const w = consumingWorld();
    const service = producing(w, inbox, async (message) => {
      await message.tx.publish(printed, message.data);
      await message.batch("main", [acting]);
    });
    expect((await w.arrive(service)).status).toBe(200);
    flushAll(w);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    expect(w.effects()).toBe(1);
    expect(w.sent()).toEqual([printed.name]);
  });
});

const source = "https://shop.example.com/";

/** The rows of leases alone. */
function leases(w: ConsumingWorld) {
  return w.main.snapshot().filter(([key]) => key.startsWith("inbox/lease/"));
}
