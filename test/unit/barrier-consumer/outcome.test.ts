import { describe, expect, test } from "vitest";
import { FatalError, OutcomeUnknownError, RetryableError, TransactionStateError } from "aftercommit";
import type { AftercommitError } from "aftercommit";
import { act, acting, consumingWorld, flushAll, INBOXES } from "../../support/barrier-consumer-world.ts";
import type { MemorySql } from "../../support/barrier-consumer-world.ts";
import { orderPaid } from "../../support/world.ts";

/** Throws in its first run only. */
function onlyFirst(error: unknown): () => void {
  let runs = 0;
  return () => {
    if (++runs === 1) throw error;
  };
}

describe.each(INBOXES)("a handler with message.run, and %s as the inbox,", (inbox) => {
  test("that throws before it has done nothing, and is run again at once", async () => {
    const w = consumingWorld();
    const maybe = onlyFirst(new Error("before"));
    const service = w.receipts(inbox, (message) => {
      maybe();
      return message.run("main", act);
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.effects()).toBe(0);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({ status: 200, body: { duplicate: false } });
    expect(w.effects()).toBe(1);
  });

  test("that throws inside of it has its work rolled back, and is run again at once", async () => {
    const w = consumingWorld();
    const maybe = onlyFirst(new Error("inside"));
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        await act(sql);
        maybe();
      }),
    );
    expect(await w.arrive(service)).toMatchObject({
      status: 500,
      body: { error: { reason: "the handler threw Error" } },
    });
    expect(w.effects()).toBe(0);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({ status: 200, body: { duplicate: false } });
    expect(w.effects()).toBe(1);
  });

  test("that throws after it keeps the effect, and its next run finds it done", async () => {
    const w = consumingWorld();
    const maybe = onlyFirst(new Error("after"));
    const service = w.receipts(inbox, async (message) => {
      const outcome = await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        return "receipt-1";
      });
      maybe();
      return outcome;
    });
    expect((await w.arrive(service)).status).toBe(500);
    expect(w.effects()).toBe(1);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: true, outcome: "receipt-1" },
    });
    expect(w.effects()).toBe(1);
  });

  test("that gives a message up inside of it has its work rolled back, and the message goes to the dead letters", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        await act(sql);
        throw new FatalError("no such order");
      }),
    );
    const answered = await w.arrive(service);
    expect(answered).toMatchObject({ status: 489, body: { error: { reason: "no such order" } } });
    expect(answered.headers.get("upstash-nonretryable-error")).toBe("true");
    expect(w.effects()).toBe(0);
  });

  test("that asks for another attempt inside of it has its work rolled back, and says when", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        await act(sql);
        throw new RetryableError("the printer is out of paper", { retryAfter: "90s" });
      }),
    );
    const answered = await w.arrive(service);
    expect(answered).toMatchObject({ status: 500, body: { error: { reason: "the printer is out of paper" } } });
    expect(answered.headers.get("retry-after")).toBe("90");
    expect(w.effects()).toBe(0);
  });

  test("whose COMMIT got no answer and was done is asked for again, and finds it done", async () => {
    const w = consumingWorld();
    const errors: unknown[] = [];
    const service = w.receipts(inbox, (message) => run(message, errors));
    w.main.fail("commitReplyLost");
    expect((await w.arrive(service)).status).toBe(500);
    expect(OutcomeUnknownError.is(errors[0])).toBe(true);
    expect(w.of("outcomeUnknown")).toHaveLength(1);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: true, outcome: "receipt-1" },
    });
    expect(w.effects()).toBe(1);
  });

  test("whose COMMIT got no answer and was not done is asked for again, and does it", async () => {
    const w = consumingWorld();
    const errors: unknown[] = [];
    const service = w.receipts(inbox, (message) => run(message, errors));
    w.main.fail("commitLost");
    expect((await w.arrive(service)).status).toBe(500);
    expect(OutcomeUnknownError.is(errors[0])).toBe(true);
    expect(await w.arrive(service, { attempt: 2 })).toMatchObject({
      status: 200,
      body: { duplicate: false, outcome: "receipt-1" },
    });
    expect(w.effects()).toBe(1);
  });

  test.each(["commitReplyLost", "commitLost"] as const)(
    "that hides an outcome that is not known (%s) is not acked by that",
    async (fault) => {
      const w = consumingWorld();
      const service = w.receipts(inbox, async (message) => {
        await message.run("main", act).catch(() => undefined);
        return "fine";
      });
      w.main.fail(fault);
      expect((await w.arrive(service)).status).toBe(500);
      expect((await w.arrive(service, { attempt: 2 })).status).toBe(200);
      expect(w.effects()).toBe(1);
    },
  );

  test("whose database asks for another try is tried as often as it says, and acts once", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) => message.run("main", act, { retries: 2 }));
    w.main.fail("commit", { times: 2 });
    const arriving = w.post1(service.app);
    await w.clock.advance(5_000);
    expect((await arriving).body).toMatchObject({ duplicate: false });
    expect(w.effects()).toBe(1);
    w.main.fail("commit", { times: 3 });
    expect((await w.arrive(service)).body, "and what is done needs no COMMIT").toMatchObject({ duplicate: true });
  });

  test("that calls it twice, or inside of itself, is told by a typed error", async () => {
    const w = consumingWorld();
    const codes: string[] = [];
    const refused = async (call: () => Promise<unknown>) => {
      const error = await call().catch((thrown: unknown) => thrown);
      codes.push(TransactionStateError.is(error) ? error.code : String(error));
    };
    const service = w.receipts(inbox, async (message) => {
      await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        await refused(() => message.run("main", act));
        await refused(() => message.batch("main", [acting]));
      });
      await refused(() => message.run("main", act));
      await refused(() => message.batch("main", [acting]));
      await refused(() => message.tx.run("main", act));
    });
    expect((await w.arrive(service)).status).toBe(200);
    expect(codes).toEqual([
      "ERR_TRANSACTION_NESTED",
      "ERR_TRANSACTION_NESTED",
      "ERR_TRANSACTION_DECIDED",
      "ERR_TRANSACTION_DECIDED",
      "ERR_TRANSACTION_DECIDED",
    ]);
    expect(w.effects()).toBe(1);
  });

  test("whose outcome is too large to be kept is done all the same", async () => {
    const w = consumingWorld();
    const service = w.receipts(inbox, (message) =>
      message.run("main", async (sql: MemorySql) => {
        await act(sql);
        return "x".repeat(5_000);
      }),
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect(await w.arrive(service)).toMatchObject({ status: 200, body: { duplicate: true, outcome: null } });
    expect(w.effects()).toBe(1);
  });
});

describe("message.run", () => {
  test("without a database is refused by a typed error, and so is message.batch", async () => {
    const w = consumingWorld();
    const codes: (string | undefined)[] = [];
    const made = w.consuming("a store");

    made.app.post(
      "/consumers/receipt",
      made.ac.consumer(orderPaid, async (message) => {
        for (const call of [() => message.run("main", act), () => message.batch("main", [acting])])
          await call().catch((error: AftercommitError) => codes.push(error.code));
      }),
    );
    expect((await w.arrive(made)).status).toBe(200);
    expect(codes).toEqual(["ERR_TRANSACTION_LEVEL", "ERR_TRANSACTION_LEVEL"]);
    expect(w.effects()).toBe(0);
  });

  test("on another database than the consumer's is refused by a typed error, and the right one is free for it", async () => {
    const w = consumingWorld();
    const codes: string[] = [];
    const service = w.receipts(
      "a store",
      async (message) => {
        await message.run("other", act).catch((error: AftercommitError) => codes.push(error.code));
        return message.run("main", act);
      },
      {},
      { databases: { main: w.main, other: w.main } },
    );
    expect((await w.arrive(service)).status).toBe(200);
    expect(codes).toEqual(["ERR_TRANSACTION_LEVEL"]);
    expect(w.effects()).toBe(1);
  });

  test("that is done in an earlier run resolves to what its work returned then", async () => {
    const w = consumingWorld();
    const seen: unknown[] = [];
    let receipts = 0;
    const service = w.receipts("a store", async (message) => {
      const receipt = await message.run("main", async (sql: MemorySql) => {
        await act(sql);
        return { number: ++receipts };
      });
      seen.push(receipt);
      return receipt.number;
    });
    await w.arrive(service);
    flushAll(w);
    expect((await w.arrive(service)).body).toMatchObject({ duplicate: true, outcome: { number: 1 } });
    expect(seen).toEqual([{ number: 1 }, { number: 1 }]);
  });

  test("whose message was given up after it had committed is reported as delivered, and not as dead", async () => {
    const w = consumingWorld();
    const service = w.receipts("a store", async (message) => {
      await message.run("main", act);
      throw new FatalError("given up too late");
    });
    service.app.post("/orders", service.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      return c.text("");
    });
    await service.app.request("/orders", { method: "POST" });
    await service.ac.drain();
    const [delivered] = await w.deliver(service.app);
    expect(delivered!.statuses).toEqual([489]);
    expect(w.effects()).toBe(1);
    expect(w.of("dead")).toEqual([]);
    expect(w.of("delivered")).toHaveLength(1);
  });
});

/** Does the work, and keeps what it threw. */
async function run(
  message: { run(database: string, work: (sql: MemorySql) => Promise<string>): Promise<string> },
  errors: unknown[],
): Promise<string> {
  try {
    return await message.run("main", async (sql: MemorySql) => {
      await act(sql);
      return "receipt-1";
    });
  } catch (error) {
    errors.push(error);
    throw error;
  }
}
