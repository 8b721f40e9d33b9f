import { describe, expect, test } from "vitest";
import { aftercommit, FatalError, RetryableError } from "aftercommit";
import { pull } from "../../../adapters/redis-streams/index.ts";
import { unreachableStore } from "../cloudflare/unreachable-store.ts";
import {
  isFinish,
  isPutBack,
  isRead,
  KEYS,
  orderPaid,
  PUBLIC_URL,
  RECEIPT,
  seatFreed,
  streamWorld,
} from "./stream-world.ts";

const EMPTY = { ready: 0, pending: 0, later: 0 };

describe("a message of a stream", () => {
  test("is handed to its subscriber once, and nothing of it stays", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: unknown[] = [];
    service.ac.subscribe(orderPaid, "receipt", (message) => {
      seen.push([message.id, message.data, message.attempt]);
    });
    const id = await w.order(service);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 1 });
    const puller = w.worker(service);
    expect(await puller.pull()).toEqual({ taken: 1, acknowledged: 1, putBack: 0 });
    expect(await puller.pull()).toEqual({ taken: 0, acknowledged: 0, putBack: 0 });
    expect(seen).toEqual([[id, { orderId: "o-1" }, 1]]);
    expect(w.of("delivered")).toHaveLength(1);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
    expect(await puller.backlog()).toEqual(EMPTY);
    expect(w.engine.execute(["EXISTS", KEYS.places])).toBe(0);
  });

  test("that was there before any worker is handed out all the same", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ data }) => void seen.push(data.orderId));
    for (const id of ["a", "b", "c"]) await w.order(service, id);
    expect(await w.worker(service).pull()).toMatchObject({ taken: 3 });
    expect(seen.sort()).toEqual(["a", "b", "c"]);
  });

  test("brings its subscriber the environment", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: unknown[] = [];
    service.ac.subscribe(orderPaid, "receipt", (_, env) => void seen.push(env));
    await w.order(service);
    const env = { DB: "a binding" };
    await w.worker(service, { env }).pull();
    expect(seen).toEqual([env]);
  });

  test("that is put in twice has its effect once", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    copy(w);
    const puller = w.worker(service);
    await w.pullAll(puller);
    expect(runs).toBe(1);
    expect(w.of("duplicate").length + w.of("busy").length).toBeGreaterThan(0);
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test("that is in another run's hands is put back, and uses up none of its retries", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", async ({ attempt }) => {
      attempts.push(attempt);
      await gate.promise;
    });
    await w.order(service);
    const first = w.worker(service).pull();
    await w.clock.advance(0);
    copy(w);
    // A copy of what is known to be outstanding would be dropped.
    w.engine.execute(["DEL", KEYS.places]);
    const second = w.worker(service);
    for (let i = 0; i < 9; i++) {
      expect(await second.pull()).toEqual({ taken: 1, acknowledged: 0, putBack: 1 });
      // The run renews its lease meanwhile.
      await w.clock.advance(30_000);
    }
    gate.resolve();
    expect(await first).toMatchObject({ acknowledged: 1 });
    await w.pullAll(second);
    expect(attempts).toEqual([1]);
    expect(w.of("dead")).toEqual([]);
  });

  test("whose handler throws is tried again with growing waits, and then done", async () => {
    const w = streamWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 4) throw new Error("the printer is on fire");
    });
    await w.order(service);
    const puller = w.worker(service);
    for (const wait of [10, 20, 40]) {
      expect(await puller.pull()).toMatchObject({ putBack: 1 });
      expect(await puller.backlog()).toEqual({ ready: 0, pending: 0, later: 1 });
      await w.clock.advance(wait * 1_000 - 1);
      expect(await puller.pull()).toMatchObject({ taken: 0 });
      await w.clock.advance(1);
    }
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(w.of("dead")).toEqual([]);
  });

  test.each([
    ["1500ms", 1_500],
    ["30h", 108_000_000],
  ] as const)("waits for as long as its handler asks: %s", async (retryAfter, millis) => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      if (attempt === 1) throw new RetryableError("busy", { retryAfter });
    });
    await w.order(service);
    const puller = w.worker(service);
    await puller.pull();
    await w.clock.advance(millis - 1);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    await w.clock.advance(1);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
  });

  test("that is put back by one worker is taken up by another when it is due, within half a minute", async () => {
    const w = streamWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new RetryableError("busy", { retryAfter: "5s" });
    });
    const other = w.worker(service);
    await other.pull();
    await w.order(service);
    await w.worker(service).pull();
    await w.clock.advance(30_000);
    expect(await other.pull()).toMatchObject({ acknowledged: 1 });
    expect(attempts).toEqual([1, 2]);
  });

  test("that has used up its topic's retries is a dead letter with what was said last, and redriven through the stream under its own id", async () => {
    const w = streamWorld();
    const service = w.service();
    let broken = true;
    const ids: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ id }) => {
      ids.push(id);
      if (broken) throw new RetryableError("the printer is on fire");
    });
    await w.order(service);
    const puller = w.worker(service);
    await w.pullAll(puller);
    expect(ids).toHaveLength(4);
    const operator = service.ac.operator();
    const { items } = await operator.log.listDead();
    expect(items).toEqual([expect.objectContaining({ reason: "failed", detail: "the printer is on fire" })]);
    expect(await puller.backlog()).toEqual(EMPTY);
    broken = false;
    await operator.redrive(items[0]!.record.key);
    expect(await puller.backlog()).toEqual({ ...EMPTY, ready: 1 });
    await w.pullAll(puller);
    expect(new Set(ids).size).toBe(1);
    expect(ids).toHaveLength(5);
    expect(await operator.log.counts()).toMatchObject({ unsettled: 0, dead: 0 });
  });

  test("that its handler calls fatal is a dead letter at once", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => {
      runs++;
      throw new FatalError("no such order");
    });
    await w.order(service);
    await w.pullAll(w.worker(service));
    expect(runs).toBe(1);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: "no such order" }),
    ]);
  });

  test("of another topic is a dead letter at once", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(seatFreed, "receipt", () => {});
    await w.order(service);
    await w.pullAll(w.worker(service));
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: 'expected the topic "seat.freed", found "order.paid"' }),
    ]);
  });

  test("to nobody here is tried again, as a newer release may have its subscriber, and then a dead letter", async () => {
    const w = streamWorld();
    const service = w.service();
    await w.order(service);
    const puller = w.worker(service);
    expect(await puller.pull()).toMatchObject({ putBack: 1 });
    await w.pullAll(puller);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: 'no subscriber is named "receipt" here' }),
    ]);
  });

  test("that cannot be recorded as dead stays until it can be, and is not run meanwhile", async () => {
    const w = streamWorld();
    const log = unreachableStore(w.store);
    const service = w.service({ log: log.store });
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => {
      runs++;
      throw new FatalError("no such order");
    });
    await w.order(service);
    const puller = w.worker(service);
    log.cut(true);
    for (let i = 0; i < 8; i++) {
      expect(await puller.pull()).toMatchObject({ putBack: 1 });
      await w.clock.advance(3_600_000);
    }
    log.cut(false);
    await w.pullAll(puller);
    expect(await service.ac.operator().log.counts()).toMatchObject({ dead: 1 });
    expect(runs).toBeLessThanOrEqual(1);
  });

  test("with a delay is not handed out before it, and keeps its place when it is published again", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    service.app.post("/later", service.ac.transaction(), async (c) => {
      await c.var.tx.publish(orderPaid, { orderId: "o-2" }, { delay: "5m" });
      return c.text("ok");
    });
    await service.app.request(`${PUBLIC_URL}/later`, { method: "POST" });
    await service.ac.drain();
    const puller = w.worker(service);
    expect(await puller.backlog()).toEqual({ ...EMPTY, later: 1 });
    await w.clock.advance(299_000);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    await w.clock.advance(1_000);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(runs).toBe(1);
    expect(await puller.backlog()).toEqual(EMPTY);
  });
});

describe("a worker that is gone", () => {
  test("leaves its messages to another after the visibility time, and not before", async () => {
    const w = streamWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => void attempts.push(attempt));
    for (const id of ["a", "b", "c"]) await w.order(service, id);
    await dieWith(w, 3);
    const puller = w.worker(service);
    await w.clock.advance(59_000);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    // One at a time: one of them may be what ended it.
    for (let i = 0; i < 3; i++) {
      await w.clock.advance(30_000);
      expect(await puller.pull()).toMatchObject({ taken: 1, acknowledged: 1 });
    }
    expect(attempts).toEqual([2, 2, 2]);
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test("again and again over the same message makes that a dead letter, and not those that it held beside", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ data }) => void seen.push(data.orderId));
    for (const id of ["poison", "b", "c"]) await w.order(service, id);
    const entries = w.engine.execute(["XRANGE", KEYS.stream, "-", "+"]) as unknown as [string, string[]][];
    await dieWith(w, 3);
    const poison = entries.find(([, fields]) => fields[5]!.includes("poison"))![0];
    for (let i = 0; i < 5; i++) {
      await w.clock.advance(60_000);
      w.engine.execute(["XCLAIM", KEYS.stream, "workers", "a worker that dies", "60000", poison]);
    }
    await w.clock.advance(60_000);
    await w.pullAll(w.worker(service));
    expect(seen.sort()).toEqual(["b", "c"]);
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: "handed out 6 times, and never let go" }),
    ]);
  });

  test("under the name of one that begins anew is no other case", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    await dieWith(w, 1, "the same");
    const puller = w.worker(service, { worker: "the-same" });
    await w.clock.advance(60_000);
    await w.pullAll(puller);
    expect(runs).toBe(1);
  });

  test("and was slow only does not run beside the other, and both are told the truth", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", async () => {
      runs++;
      await gate.promise;
    });
    await w.order(service);
    const slow = w.worker(service).pull();
    await w.clock.advance(0);
    // Its signs of life do not arrive.
    for (let i = 0; i < 10; i++)
      w.fail({ when: ([name, script = ""]) => name === "EVAL" && script.includes("JUSTID"), applied: false });
    await w.clock.advance(61_000);
    const other = w.worker(service);
    expect(await other.pull()).toEqual({ taken: 1, acknowledged: 0, putBack: 1 });
    expect(w.of("busy")).toHaveLength(1);
    gate.resolve();
    expect(await slow).toMatchObject({ acknowledged: 1 });
    await w.clock.advance(30_000);
    await w.pullAll(other);
    expect(runs).toBe(1);
    expect(w.of("dead")).toEqual([]);
    expect(await other.backlog()).toEqual(EMPTY);
  });

  test("for long is forgotten, unless it holds something", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    await w.order(service);
    await w.worker(service, { worker: "old" }).pull();
    await w.order(service, "o-2");
    await dieWith(w, 1, "holding");
    await w.clock.advance(86_400_001);
    await w.worker(service, { visibility: "30d", worker: "new" }).pull();
    const names = (w.engine.execute(["XINFO", "CONSUMERS", KEYS.stream, "workers"]) as unknown as string[][]).map(
      (x) => x[1],
    );
    expect(names).toEqual(["holding"]);
  });
});

describe("a worker", () => {
  test("keeps a message for as long as its handler runs, however long", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    service.ac.subscribe(orderPaid, "receipt", () => gate.promise);
    await w.order(service);
    const first = w.worker(service, { visibility: "9s" });
    const other = w.worker(service, { visibility: "9s" });
    const pulled = first.pull();
    for (let i = 0; i < 100; i++) {
      await w.clock.advance(3_000);
      expect(await other.pull()).toMatchObject({ taken: 0 });
    }
    gate.resolve();
    expect(await pulled).toMatchObject({ acknowledged: 1 });
  });

  test("keeps all that it has in its hands, and not the first alone", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    service.ac.subscribe(orderPaid, "receipt", () => gate.promise);
    for (const id of ["a", "b", "c"]) await w.order(service, id);
    const pulled = w.worker(service).pull();
    const other = w.worker(service);
    for (let i = 0; i < 10; i++) {
      await w.clock.advance(20_000);
      expect(await other.pull()).toMatchObject({ taken: 0 });
    }
    gate.resolve();
    expect(await pulled).toMatchObject({ acknowledged: 3 });
  });

  test("has no more in its hands than its batch", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    for (let i = 0; i < 25; i++) await w.order(service, `o-${i}`);
    const puller = w.worker(service, { batch: 10 });
    const taken = [];
    for (let i = 0; i < 4; i++) taken.push((await puller.pull()).taken);
    expect(taken).toEqual([10, 10, 5, 0]);
  });

  test("shares with others: each message is in one worker's hands", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", async ({ data }) => {
      await Promise.resolve();
      seen.push(data.orderId);
    });
    const ids = Array.from({ length: 40 }, (_, i) => `o-${i}`);
    for (const id of ids) await w.order(service, id);
    const workers = [w.worker(service), w.worker(service), w.worker(service)];
    const reports = [];
    for (let i = 0; i < 2; i++) reports.push(...(await Promise.all(workers.map((worker) => worker.pull()))));
    expect(reports.reduce((sum, { taken }) => sum + taken, 0)).toBe(40);
    expect(seen.sort()).toEqual([...ids].sort());
    expect(w.of("duplicate")).toEqual([]);
    expect(w.of("busy")).toEqual([]);
  });

  test("in which one message is bad does not make the others wait", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ data }) => {
      if (data.orderId === "bad") throw new Error("no");
      seen.push(data.orderId);
    });
    for (const id of ["a", "bad", "b"]) await w.order(service, id);
    expect(await w.worker(service).pull()).toEqual({ taken: 3, acknowledged: 2, putBack: 1 });
    expect(seen).toEqual(["a", "b"]);
  });

  test("takes out what is none of ours, and tells of it", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    for (const fields of [
      ["f", "v"],
      ["d", "x", "n", "0", "m", "text"],
      ["d", "x", "n", "0", "m", "{}\n{}"],
      ["d", "x", "m", '{"v":1,"destination":"stream:orders/other"}\n{}'],
    ]) {
      w.engine.execute(["XADD", KEYS.stream, "*", ...fields]);
    }
    const puller = w.worker(service);
    expect(await puller.pull()).toEqual({ taken: 4, acknowledged: 4, putBack: 0 });
    expect(w.of("rejected")).toHaveLength(4);
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test("leaves what another release wrote to that release", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    w.engine.execute(["XADD", KEYS.stream, "*", "d", "x", "n", "0", "m", `{"v":2,"destination":"${RECEIPT}"}\n{}`]);
    const puller = w.worker(service);
    for (let i = 0; i < 10; i++) {
      expect(await puller.pull()).toEqual({ taken: 1, acknowledged: 0, putBack: 1 });
      await w.clock.advance(60_000);
    }
    expect(w.of("rejected")).toEqual([]);
  });

  test("finds its stream again after Redis has lost everything", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    const puller = w.worker(service);
    await puller.pull();
    w.engine.flushAll();
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    w.engine.flushAll();
    await w.order(service);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(runs).toBe(1);
  });

  test.each([true, false])("whose acknowledgement is lost (applied: %s) runs nothing twice", async (applied) => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    w.fail({ when: isFinish, applied });
    const puller = w.worker(service);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(w.of("background")).toHaveLength(1);
    await w.clock.advance(60_000);
    await w.pullAll(w.worker(service));
    expect(runs).toBe(1);
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test.each([true, false])("that cannot put a message back (applied: %s) leaves it to lapse", async (applied) => {
    const w = streamWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => {
      attempts.push(attempt);
      if (attempts.length === 1) throw new Error("no");
    });
    await w.order(service);
    w.fail({ when: isPutBack, applied });
    const puller = w.worker(service);
    await expect(puller.pull()).rejects.toThrow("out of reach");
    await w.clock.advance(60_000);
    await w.pullAll(puller);
    expect(attempts).toEqual([1, 2]);
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test("that never learns what it fetched leaves it to lapse", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    w.fail({ when: isRead, applied: true });
    const puller = w.worker(service);
    await expect(puller.pull()).rejects.toThrow("out of reach");
    await w.clock.advance(60_000);
    await w.pullAll(puller);
    expect(runs).toBe(1);
  });

  test.each([
    [{ from: "https://shop.example.com/receipt" }, "pull.from"],
    [{ from: "queue:orders/receipt" }, "pull.from"],
    [{ batch: 0 }, "pull.batch"],
    [{ batch: 201 }, "pull.batch"],
    [{ visibility: "1s" }, "pull.visibility"],
    [{ poll: "soon" }, "pull.poll"],
    [{ worker: "a worker" }, "pull.worker"],
    [{ namespace: "{x}" }, "pull.namespace"],
  ])("is refused options that it cannot work with: %j", (options, path) => {
    const w = streamWorld();
    const service = w.service();
    expect(() => w.worker(service, options)).toThrow(path);
  });

  test("needs an inbox", () => {
    const { redis } = streamWorld();
    expect(() => pull(aftercommit({}), redis, { from: RECEIPT })).toThrow(/inbox/);
  });
});

describe("a running worker", () => {
  test("handles what comes, soon after it came, and what was put back when it is due", async () => {
    const w = streamWorld();
    const service = w.service();
    const seen: [string, number][] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ data, attempt }) => {
      seen.push([data.orderId, attempt]);
      if (attempt === 1 && data.orderId === "b") throw new RetryableError("later", { retryAfter: "3s" });
    });
    const ending = new AbortController();
    const running = w.worker(service).run({ signal: ending.signal });
    await w.clock.advance(1_000);
    await w.order(service, "a");
    await w.clock.advance(10_000);
    await w.order(service, "b");
    await w.clock.advance(10_000);
    await w.clock.advance(3_000);
    expect(seen).toEqual([
      ["a", 1],
      ["b", 1],
      ["b", 2],
    ]);
    ending.abort();
    await w.clock.advance(0);
    await running;
    expect(w.engine.execute(["XINFO", "CONSUMERS", KEYS.stream, "workers"])).toEqual([]);
  });

  test("goes on with other messages while one takes long", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", async ({ data }) => {
      if (data.orderId === "long") await gate.promise;
      seen.push(data.orderId);
    });
    const ending = new AbortController();
    await w.order(service, "long");
    const running = w.worker(service, { batch: 2, poll: "1s" }).run({ signal: ending.signal });
    await w.clock.advance(1_000);
    for (const id of ["a", "b", "c"]) {
      await w.order(service, id);
      await w.clock.advance(2_000);
    }
    expect(seen).toEqual(["a", "b", "c"]);
    gate.resolve();
    ending.abort();
    await w.clock.advance(1_000);
    await running;
    expect(seen).toEqual(["a", "b", "c", "long"]);
  });

  test("brings what it has begun to its end, and puts back what it has not, when it is told to end", async () => {
    const w = streamWorld();
    const service = w.service();
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => void attempts.push(attempt));
    const ending = new AbortController();
    await w.order(service);
    const worker = w.worker(service);
    // It is told while the read is on its way.
    const { execute } = w.redis;
    w.redis.execute = async (command) => {
      const reply = await execute(command);
      if (isRead(command)) ending.abort();
      return reply;
    };
    await worker.run({ signal: ending.signal });
    expect(attempts).toEqual([]);
    expect(await worker.backlog()).toEqual({ ready: 1, pending: 0, later: 0 });
    await w.worker(service).pull();
    expect(attempts).toEqual([1]);
  });

  test("handles what others left behind one at a time, beside what is new", async () => {
    const w = streamWorld();
    const service = w.service();
    const gate = Promise.withResolvers<void>();
    const begun: string[] = [];
    service.ac.subscribe(orderPaid, "receipt", async ({ data }) => {
      begun.push(data.orderId);
      if (data.orderId !== "new") await gate.promise;
    });
    for (const id of ["a", "b", "c"]) await w.order(service, id);
    await dieWith(w, 3);
    await w.clock.advance(60_000);
    const ending = new AbortController();
    const running = w.worker(service).run({ signal: ending.signal });
    for (let i = 0; i < 5; i++) await w.clock.advance(30_000);
    await w.order(service, "new");
    await w.clock.advance(20_000);
    expect(begun).toEqual(["a", "new"]);
    gate.resolve();
    await w.clock.advance(20_000);
    expect(begun.sort()).toEqual(["a", "b", "c", "new"]);
    ending.abort();
    await w.clock.advance(10_000);
    await running;
  });

  test("outlasts a Redis that is out of reach, and tells of it", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    for (let i = 0; i < 5; i++) w.fail({ when: isRead, applied: false });
    const ending = new AbortController();
    const running = w.worker(service).run({ signal: ending.signal });
    await w.order(service);
    await w.clock.advance(30_000);
    expect(runs).toBe(1);
    expect(w.of("background")).toHaveLength(5);
    ending.abort();
    await w.clock.advance(10_000);
    await running;
  });
});

/** A worker that fetches and does no more. */
async function dieWith(w: ReturnType<typeof streamWorld>, count: number, name = "a worker that dies"): Promise<void> {
  w.engine.execute(["XGROUP", "CREATE", KEYS.stream, "workers", "0", "MKSTREAM"]);
  const reply = w.engine.execute([
    "XREADGROUP",
    "GROUP",
    "workers",
    name,
    "COUNT",
    String(count),
    "STREAMS",
    KEYS.stream,
    ">",
  ]);
  expect((reply as unknown as [string, unknown[]][])[0]![1]).toHaveLength(count);
}

/** Puts the first entry in once more. */
function copy(w: ReturnType<typeof streamWorld>): void {
  const entries = w.engine.execute(["XRANGE", KEYS.stream, "-", "+", "COUNT", "1"]) as unknown as [string, string[]][];
  w.engine.execute(["XADD", KEYS.stream, "*", ...entries[0]![1]]);
}
