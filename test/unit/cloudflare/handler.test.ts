import { describe, expect, test } from "vitest";
import { aftercommit, FatalError, RetryableError } from "aftercommit";
import { queueHandler } from "aftercommit/cloudflare-queues";
import { unreachableStore } from "./unreachable-store.ts";
import { orderPaid, PUBLIC_URL, queueWorld, seatFreed } from "./queue-world.ts";

const KEY = expect.stringMatching(/^[0-9a-f-]{36}_0_[0-9a-f]{16}$/) as string;

describe("a message of a queue", () => {
  test("is handed to its subscriber once, and its payload goes", async () => {
    const w = queueWorld();
    const service = w.service();
    const seen: unknown[] = [];
    service.ac.subscribe(orderPaid, "receipt", (message) => {
      seen.push([message.id, message.data, message.attempt]);
    });
    const id = await w.order(service);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 1 });
    await w.deliverAll(service);
    expect(seen).toEqual([[id, { orderId: "o-1" }, 1]]);
    expect(w.of("delivered")).toHaveLength(1);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
  });

  test("brings its subscriber the environment", async () => {
    const w = queueWorld();
    const service = w.service();
    const seen: unknown[] = [];
    service.ac.subscribe(orderPaid, "receipt", (_, env) => seen.push(env));
    await w.order(service);
    const env = { DB: "a binding" };
    await w.queue.deliver(queueHandler(service.ac as never), env);
    expect(seen).toEqual([env]);
  });

  test("that comes twice has its effect once", async () => {
    const w = queueWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    w.queue.put(w.queue.messages[0]!.body);
    await w.deliverAll(service);
    expect(runs).toBe(1);
    expect(w.of("duplicate").length + w.of("busy").length).toBeGreaterThan(0);
  });

  test("that is in another run's hands is kept waiting, and uses up none of its retries", async () => {
    const w = queueWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", async () => {
      runs++;
      running.resolve();
      await gate.promise;
    });
    await w.order(service);
    const { body } = w.queue.messages[0]!;
    const handler = queueHandler(service.ac);
    const first = w.queue.deliver(handler);
    await running.promise;
    w.queue.put(body);
    for (let i = 0; i < 5; i++) {
      expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: 30 }]);
      // The run renews its lease meanwhile.
      await w.clock.advance(30_000);
    }
    gate.resolve();
    expect(await first).toEqual(["acked"]);
    expect(await w.queue.deliver(handler)).toEqual(["acked"]);
    expect(runs).toBe(1);
    expect(w.of("dead")).toEqual([]);
  });

  test("whose handler throws is tried again with growing waits, and then done", async () => {
    const w = queueWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 4) throw new Error("the printer is on fire");
    });
    await w.order(service);
    const handler = queueHandler(service.ac);
    const fates = [];
    for (const wait of [10, 20, 40, 0]) {
      fates.push(...(await w.queue.deliver(handler)));
      await w.clock.advance(wait * 1_000);
    }
    expect(fates).toEqual([{ retryAfter: 10 }, { retryAfter: 20 }, { retryAfter: 40 }, "acked"]);
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(w.of("dead")).toEqual([]);
  });

  test("waits for as long as its handler asks, and no longer than a queue can", async () => {
    const w = queueWorld();
    const service = w.service();
    const asked = ["1500ms", "30h"];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      throw new RetryableError("busy", { retryAfter: asked[attempt - 1] === "1500ms" ? 1_500 : "30h" });
    });
    await w.order(service);
    const handler = queueHandler(service.ac);
    expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: 2 }]);
    await w.clock.advance(2_000);
    expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: 43_200 }]);
  });

  test("that has used up its topic's retries is a dead letter with what was said last, and redriven under its own id", async () => {
    const w = queueWorld();
    const service = w.service();
    let broken = true;
    const ids: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ id }) => {
      ids.push(id);
      if (broken) throw new RetryableError("the printer is on fire");
    });
    await w.order(service);
    await w.deliverAll(service);
    expect(ids).toHaveLength(4);
    const operator = service.ac.operator();
    const { items } = await operator.log.listDead();
    expect(items).toEqual([expect.objectContaining({ reason: "failed", detail: "the printer is on fire" })]);
    expect(w.queue.messages).toEqual([]);
    broken = false;
    await operator.redrive(items[0]!.record.key);
    expect(w.queue.messages).toHaveLength(1);
    await w.deliverAll(service);
    expect(new Set(ids).size).toBe(1);
    expect(ids).toHaveLength(5);
    expect(await operator.log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
  });

  test("that its handler calls fatal is a dead letter at once", async () => {
    const w = queueWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => {
      runs++;
      throw new FatalError("no such order");
    });
    await w.order(service);
    await w.deliverAll(service);
    expect(runs).toBe(1);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: "no such order" }),
    ]);
  });

  test("of another topic, or whose data its schema refuses, is a dead letter at once", async () => {
    const w = queueWorld();
    const service = w.service({ routes: { [orderPaid.name]: "queue:orders/seat" } });
    service.ac.subscribe(seatFreed, "seat", () => {});
    await w.order(service);
    await w.deliverAll(service);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: 'expected the topic "seat.freed", found "order.paid"' }),
    ]);
  });

  test("to nobody here is tried again, as a newer release may have its subscriber, and then a dead letter", async () => {
    const w = queueWorld();
    const service = w.service();
    await w.order(service);
    expect(await w.queue.deliver(queueHandler(service.ac))).toEqual([{ retryAfter: 10 }]);
    await w.deliverAll(service);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: 'no subscriber is named "receipt" here' }),
    ]);
  });

  test("honours the retries of its topic, not the queue's", async () => {
    const w = queueWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => {
      runs++;
      throw new Error("no");
    });
    service.app.post("/once", service.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-2" }, { retries: 0 });
      return c.text("ok");
    });
    await service.app.request(`${PUBLIC_URL}/once`, { method: "POST" });
    await service.ac.drain();
    await w.deliverAll(service);
    expect(runs).toBe(1);
    expect(await service.ac.operator().log.counts()).toMatchObject({ dead: 1 });
  });
});

test("what a subscriber publishes goes out if its message is done, and a second copy of that changes nothing", async () => {
  const w = queueWorld();
  const service = w.service({
    routes: { [orderPaid.name]: "queue:orders/receipt", [seatFreed.name]: "queue:orders/seat" },
  });
  const seats: string[] = [];
  service.ac.subscribe(orderPaid, "receipt", async ({ tx, data, attempt }) => {
    await tx.publish(seatFreed, { seat: data.orderId });
    if (attempt === 1) throw new Error("not yet");
  });
  service.ac.subscribe(seatFreed, "seat", ({ data }) => void seats.push(data.seat));
  await w.order(service);
  w.queue.put(w.queue.messages[0]!.body);
  await w.deliverAll(service);
  expect(seats).toEqual(["o-1"]);
  expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
});

test("a service that has nowhere to bury a message leaves it to the queue, and to the service that can", async () => {
  const w = queueWorld({ maxRetries: 2 });
  const producer = w.service();
  const alone = { log: undefined, inbox: w.store.inbox, transport: undefined, routes: {} };
  const consumer = aftercommit(w.options(alone));
  consumer.subscribe(orderPaid, "receipt", () => {
    throw new FatalError("no such order");
  });
  await w.order(producer);
  const handler = queueHandler(consumer);
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: 10 * 2 ** (attempt - 1) }]);
    await w.clock.advance(10_000 * 2 ** (attempt - 1));
  }
  expect(w.queue.messages).toEqual([]);
  await w.deliverAll(producer);
  expect(await producer.ac.operator().log.counts()).toMatchObject({ dead: 1 });
});

describe("a batch", () => {
  test("in which one message is bad does not make the others wait", async () => {
    const w = queueWorld();
    const service = w.service();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ data }) => {
      if (data.orderId === "bad") throw new Error("no");
      seen.push(data.orderId);
    });
    for (const orderId of ["a", "bad", "b"]) await w.order(service, orderId);
    const [a, bad, b] = await w.queue.deliver(queueHandler(service.ac));
    expect([a, bad, b]).toEqual(["acked", { retryAfter: 10 }, "acked"]);
    expect(seen.sort()).toEqual(["a", "b"]);
  });

  test("is worked on a few messages at a time", async () => {
    const w = queueWorld();
    const service = w.service();
    let running = 0;
    let most = 0;
    service.ac.subscribe(orderPaid, "receipt", async () => {
      most = Math.max(most, ++running);
      for (let i = 0; i < 20; i++) await Promise.resolve();
      running--;
    });
    for (let i = 0; i < 12; i++) await w.order(service, `o-${i}`);
    expect(await w.queue.deliver(queueHandler(service.ac, { concurrency: 3 }))).toEqual(Array(12).fill("acked"));
    expect(most).toBe(3);
  });

  test("takes out what is no message of this library, and tells of it", async () => {
    const w = queueWorld();
    const service = w.service();
    const facts = '{"v":1,"destination":"queue:orders/receipt"}';
    const strange = [
      "hello",
      42,
      null,
      { order: 1 },
      new Uint8Array(3),
      "a\nb",
      "null\n{}",
      '{"v":1}\n{}',
      '{"v":1,"destination":"https://a.example.net/"}\n{}',
      `${facts}\nno envelope`,
      `${facts}\n{"specversion":"1.0","__proto__":{"id":"x"}}`,
    ];
    for (const body of strange) w.queue.put(body);
    expect(await w.queue.deliver(queueHandler(service.ac))).toEqual(strange.map(() => "acked"));
    expect(w.of("rejected")).toHaveLength(strange.length);
    expect(w.of("dead")).toEqual([]);
  });

  test("leaves what a newer release has written to that release, for as long as the queue tries", async () => {
    const w = queueWorld({ maxRetries: 3 });
    const service = w.service();
    w.queue.put('{"v":2,"destination":"queue:orders/receipt"}\n{}');
    const handler = queueHandler(service.ac);
    for (const wait of [60, 60, 60, 80]) {
      expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: wait }]);
      await w.clock.advance(wait * 1_000);
    }
    expect(w.deadLetters.messages).toHaveLength(1);
  });
});

describe("what a queue gave up", () => {
  test("is buried when it comes out of the dead letter queue, with the delivery's key, and is not tried", async () => {
    const w = queueWorld({ maxRetries: 1 });
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => {
      runs++;
      throw new Error("no");
    });
    await w.order(service);
    await w.deliverAll(service);
    expect(runs).toBe(2);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({
        reason: "failed",
        detail: 'the queue\'s retries are used up ("orders-dead")',
        record: expect.objectContaining({ key: KEY }) as unknown,
      }),
    ]);
    expect(w.deadLetters.messages).toEqual([]);
  });

  test("and was done after all is delivered, not dead", async () => {
    const w = queueWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    await w.order(service);
    w.deadLetters.put(w.queue.messages[0]!.body);
    await w.deliverAll(service);
    expect(w.of("dead")).toEqual([]);
    expect(await service.ac.operator().log.counts()).toMatchObject({ dead: 0, unsettled: 0 });
  });

  test("stays where it is while it cannot be recorded", async () => {
    const w = queueWorld();
    const { store, cut } = unreachableStore(w.store);
    const service = w.service({ log: store });
    service.ac.subscribe(orderPaid, "receipt", () => {
      throw new FatalError("no");
    });
    await w.order(service);
    w.deadLetters.put(w.queue.messages[0]!.body);
    cut(true);
    const handler = queueHandler(service.ac, { deadLetterQueues: [w.deadLetters.name] });
    expect(await w.deadLetters.deliver(handler)).toEqual([{ retryAfter: 60 }]);
    cut(false);
    await w.clock.advance(60_000);
    expect(await w.deadLetters.deliver(handler)).toEqual(["acked"]);
    expect(await service.ac.operator().log.counts()).toMatchObject({ dead: 1 });
  });
});

test("an inbox that is out of reach uses up nothing: the message waits, and is done when it answers again", async () => {
  const w = queueWorld();
  const { store, cut } = unreachableStore(w.store);
  const service = w.service({ log: store });
  let runs = 0;
  service.ac.subscribe(orderPaid, "receipt", () => void runs++);
  await w.order(service);
  const handler = queueHandler(service.ac);
  cut(true);
  for (let attempt = 1; attempt <= 6; attempt++) {
    expect(await w.queue.deliver(handler)).toEqual([{ retryAfter: 10 * 2 ** (attempt - 1) }]);
    await w.clock.advance(10_000 * 2 ** (attempt - 1));
  }
  cut(false);
  expect(await w.queue.deliver(handler)).toEqual(["acked"]);
  expect(runs).toBe(1);
  expect(w.of("dead")).toEqual([]);
});

describe("a message that a queue has lost", () => {
  test("is sent again by a sweep, and its copies have one effect", async () => {
    const w = queueWorld({ maxRetries: 0 });
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    const sweep = () => service.ac.operator().sweep({ audit: false });
    await w.clock.advance(299_999);
    await sweep();
    expect(w.queue.calls).toHaveLength(1);
    await w.clock.advance(1);
    await sweep();
    expect(w.queue.calls).toHaveLength(2);
    expect(w.queue.calls[1]).toEqual(w.queue.calls[0]);
    await w.deliverAll(service);
    expect(runs).toBe(1);
    await w.clock.advance(86_400_000);
    await sweep();
    expect(w.queue.calls).toHaveLength(2);
  });

  test("whose consumer did it and could not tell the log is not sent again", async () => {
    const w = queueWorld();
    const service = w.service({ inbox: w.store.inbox });
    const { store, cut } = unreachableStore(w.store, (name) => name === "transactions.record");
    const deaf = w.service({ log: store });
    deaf.ac.subscribe(orderPaid, "receipt", () => {});
    await w.order(service);
    cut(true);
    await w.deliverAll(deaf);
    cut(false);
    await w.clock.advance(300_000);
    expect(await service.ac.operator().sweep({ audit: false })).toMatchObject({ confirmed: 1 });
    expect(w.queue.calls).toHaveLength(1);
  });

  test("is no longer sent again once the transport would have given up, but listed as unconfirmed", async () => {
    const w = queueWorld();
    const service = w.service();
    await w.order(service);
    const { operator } = service.ac;
    for (let hours = 0; hours <= 60; hours++) {
      await w.clock.advance(3_600_000);
      await operator().sweep({ audit: false });
    }
    const copies = w.queue.calls.length;
    expect(copies).toBeGreaterThan(5);
    for (let hours = 0; hours <= 24; hours++) {
      await w.clock.advance(3_600_000);
      await operator().sweep({ audit: false });
    }
    expect(w.queue.calls).toHaveLength(copies);
    expect((await operator().unconfirmed()).items).toHaveLength(1);
  });
});
