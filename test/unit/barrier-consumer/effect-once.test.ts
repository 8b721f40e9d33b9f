import { describe, expect, test, vi } from "vitest";
import type { Message } from "aftercommit";
import { act, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { MemorySql, Order } from "../../support/barrier-consumer-world.ts";
import { faulty, gate, settled } from "../../support/world.ts";
import type { StoreFault } from "../../support/world.ts";

/** What an effect came to. */
const RECEIPT = { receipt: 1 };

const once = async (sql: MemorySql) => {
  await act(sql);
  return RECEIPT;
};

describe.each(INBOXES)("the effect of message.run happens once, with %s as the inbox,", (inbox) => {
  test("however often the message comes; each time what the work returned is answered", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) => message.run("main", once));
    const first = await w.arrive(service);
    const second = await w.arrive(service, { attempt: 2 });
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.body).toEqual({ status: "done", duplicate: false, outcome: RECEIPT });
    expect(second.body).toEqual({ status: "done", duplicate: true, outcome: RECEIPT });
    expect(w.effects()).toBe(1);
    expect(w.of("duplicate")).toHaveLength(1);
  });

  test("when two copies come at once: the second is asked to come again", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        await passed;
        return once(sql);
      }),
    );
    const first = w.post1(service.app);
    await settled();
    const second = await w.post1(service.app);
    expect(second.status).toBe(503);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
    open();
    expect((await first).body).toEqual({ status: "done", duplicate: false, outcome: RECEIPT });
    expect((await w.arrive(service)).body).toEqual({ status: "done", duplicate: true, outcome: RECEIPT });
    expect(w.effects()).toBe(1);
  });

  test("when the lease lapses while the first run works, and a second one waits for it and finds it done", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    const work = vi.fn(async (sql: MemorySql) => {
      await once(sql);
      await passed;
      return RECEIPT;
    });
    const signals: AbortSignal[] = [];
    const service = w.receipts(inbox, (message) => {
      signals.push(message.signal);
      return message.run("main", work);
    });
    const first = w.post1(service.app);
    await settled();
    await w.lapse();
    expect(signals[0]!.aborted, "the first run is told").toBe(true);
    const second = w.post1(service.app, 2);
    await settled();
    expect(signals, "the second runs its handler").toHaveLength(2);
    open();
    expect((await first).status).toBe(200);
    expect((await second).body).toEqual({ status: "done", duplicate: true, outcome: RECEIPT });
    expect(work, "and not its work").toHaveBeenCalledTimes(1);
    expect(w.effects()).toBe(1);
  });

  test("when the lease lapses before the work, and the second run is the one that acts", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    let runs = 0;
    const service = w.receipts(inbox, async (message) => {
      const run = ++runs;
      if (run === 1) await passed;
      return message.run("main", async (sql: MemorySql) => {
        await act(sql);
        return { run };
      });
    });
    const first = w.post1(service.app);
    await settled();
    await w.lapse();
    expect((await w.arrive(service, { attempt: 2 })).body).toEqual({
      status: "done",
      duplicate: false,
      outcome: { run: 2 },
    });
    open();
    expect((await first).body).toEqual({ status: "done", duplicate: true, outcome: { run: 2 } });
    expect(w.effects()).toBe(1);
  });

  test("by the second run, where the first lost its lease and rolls back", async () => {
    const w = consumingWorld();
    const { passed, open } = gate();
    let runs = 0;
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        const run = ++runs;
        await act(sql);
        if (run > 1) return { run };
        await passed;
        throw new Error("too late");
      }),
    );
    const first = w.post1(service.app);
    await settled();
    await w.lapse();
    const second = w.post1(service.app, 2);
    await settled();
    open();
    expect((await first).status).toBe(500);
    expect((await second).body).toEqual({ status: "done", duplicate: false, outcome: { run: 2 } });
    expect(w.effects()).toBe(1);
  });

  test("although the message meets a business condition that its own effect has changed", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        if ((await sql.get("stock")) === 0) throw new Error("sold out");
        await sql.put("stock", 0);
        return once(sql);
      }),
    );
    await w.arrive(service);
    flushAll(w);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: true, outcome: RECEIPT },
    });
    expect(w.effects()).toBe(1);
  });
});

describe("the effect of message.run happens once, and the inbox in a store need not remember it:", () => {
  test("a completion that the store did not keep is acked all the same, and the next copy runs no work", async () => {
    const w = consumingWorld();
    let fault: StoreFault = "unreachable";
    const log = faulty(w.store, (name) => (name === "inbox.complete" ? fault : "none"));
    const handler = vi.fn((message: Message<Order>) => message.run("main", once));
    const service = w.receipts("a store", handler, {}, { log });
    expect(await w.arrive(service)).toMatchObject({ status: 200, body: { duplicate: false, outcome: RECEIPT } });
    fault = "none";
    await w.clock.advance(31_000);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: true, outcome: RECEIPT },
    });
    expect(handler).toHaveBeenCalledTimes(2);
    expect(w.effects()).toBe(1);
  });

  test("a completion whose reply was lost is acked all the same", async () => {
    const w = consumingWorld();
    const log = faulty(w.store, (name) => (name === "inbox.complete" ? "replyLost" : "none"));
    const service = w.receipts("a store", (message) => message.run("main", once), {}, { log });
    expect((await w.arrive(service)).status).toBe(200);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true, outcome: RECEIPT });
    expect(w.effects()).toBe(1);
  });

  test("a store that was emptied forgets that the message is done, and the database does not", async () => {
    const w = consumingWorld();
    const work = vi.fn(once);
    const service = w.receipts("a store", (message) => message.run("main", work));
    await w.arrive(service);
    flushAll(w);
    expect((await w.arrive(service)).body).toEqual({ status: "done", duplicate: true, outcome: RECEIPT });
    expect(work).toHaveBeenCalledTimes(1);
    expect(w.effects()).toBe(1);
  });

  test("a store that does not answer asks for another attempt before anything is done", async () => {
    const w = consumingWorld();
    const log = faulty(w.store, () => "unreachable");
    const handler = vi.fn();
    const answered = await w.arrive(w.receipts("a store", handler, {}, { log }));
    expect(answered).toMatchObject({ status: 503, body: { error: { code: "ERR_INBOX_UNAVAILABLE" } } });
    expect(handler).not.toHaveBeenCalled();
  });
});
