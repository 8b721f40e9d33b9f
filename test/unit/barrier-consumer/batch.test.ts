import { describe, expect, test } from "vitest";
import type { AftercommitError, Message } from "aftercommit";
import { act, acting, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { ConsumingWorld, MemorySql, Order } from "../../support/barrier-consumer-world.ts";

/** A database that takes batches only. */
function batchOnly({ main }: ConsumingWorld) {
  const { run: _, ...rest } = main;
  return { databases: { main: rest } };
}

describe.each(INBOXES)("with a database that takes batches only, and %s as the inbox,", (inbox) => {
  test("the effect of message.batch happens once, and it resolves to what the statements brought, or to null", async () => {
    const w = consumingWorld();
    const brought: unknown[] = [];
    const handler = async (message: Message<Order>) => {
      brought.push(await message.batch("main", [acting, async () => "second"]));
    };
    const service = w.receipts(inbox, handler, {}, batchOnly(w));
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: false });
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    flushAll(w);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true });
    expect(brought).toEqual(inbox === "a store" ? [[undefined, "second"], null] : [[undefined, "second"]]);
    expect(w.effects()).toBe(1);
  });

  test("message.run is refused by a typed error that names message.batch, which is free for the effect", async () => {
    const w = consumingWorld();
    const found: Pick<AftercommitError, "code" | "hint">[] = [];
    const service = w.receipts(
      inbox,
      async (message) => {
        await message.run("main", act).catch(({ code, hint }: AftercommitError) => found.push({ code, hint }));
        await message.batch("main", [acting]);
      },
      {},
      batchOnly(w),
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect(found).toEqual([{ code: "ERR_TRANSACTION_LEVEL", hint: expect.stringContaining("batch") as string }]);
    expect(w.effects()).toBe(1);
  });

  test("a batch whose answer is lost is not acked, and the next attempt acts once, whichever way it went", async () => {
    for (const fault of ["commitLost", "commitReplyLost"] as const) {
      const w = consumingWorld();
      const service = w.receipts(inbox, (message) => message.batch("main", [acting]), {}, batchOnly(w));
      w.main.fail(fault);
      expect((await w.arrive(service)).status).toBe(500);
      expect((await w.arrive(service, { attempt: 2 })).status).toBe(200);
      expect(w.effects()).toBe(1);
    }
  });

  test("a batch with a statement that fails leaves nothing, not even that the message came", async () => {
    const w = consumingWorld();
    let fails = true;
    const service = w.receipts(
      inbox,
      (message) =>
        message.batch("main", [
          acting,
          async () => {
            if (fails) throw new Error("check violated");
          },
        ]),
      {},
      batchOnly(w),
    );
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.effects()).toBe(0);
    fails = false;
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({ status: 200, body: { duplicate: false } });
    expect(w.effects()).toBe(1);
  });

  test("a duplicate is found before a statement that its own effect would make fail", async () => {
    const w = consumingWorld();
    const service = w.receipts(
      inbox,
      (message) => message.batch("main", [acting, (sql: MemorySql) => sql.insert("order/o-1", "paid")]),
      {},
      batchOnly(w),
    );
    await w.arrive(service);
    flushAll(w);
    expect(await w.arrive(service)).toMatchObject({ status: 200, body: { duplicate: true } });
    expect(w.effects()).toBe(1);
  });
});
