import { describe, expect, test } from "vitest";
import { RetryableError } from "aftercommit";
import type { PulledMessage } from "../../../adapters/redis-streams/index.ts";
import { orderPaid, streamWorld } from "./stream-world.ts";

/** A service with a worker whose messages are taken by hand. */
async function started(count = 1, options = {}) {
  const w = streamWorld();
  const service = w.service();
  for (let i = 0; i < count; i++) await w.order(service, `o-${i}`);
  const puller = w.worker(service, options);
  const ending = new AbortController();
  const messages = puller.messages(orderPaid, { signal: ending.signal });
  /** The next message, letting time pass for it. */
  const next = async (): Promise<PulledMessage<{ orderId: string }>> => {
    const found = messages.next();
    const there = new AbortController();
    const settle = (): void => there.abort();
    found.then(settle, settle);
    for (let i = 0; i < 400 && !there.signal.aborted; i++) await w.clock.advance(250);
    const { value } = await found;
    if (value === undefined) throw new Error("expected a message");
    return value;
  };
  return { w, service, puller, messages, next, ending };
}

const EMPTY = { ready: 0, pending: 0, later: 0 };

describe("a message taken by hand", () => {
  test("shows what travelled, and is handled as a subscriber would, without one being declared", async () => {
    const { w, service, puller, next } = await started();
    const message = await next();
    expect(message.envelope).toMatchObject({ type: "order.paid", data: { orderId: "o-0" } });
    expect(message.attempt).toBe(1);
    const seen: string[] = [];
    expect(await message.handle(({ data }) => void seen.push(data.orderId))).toEqual({ status: "ack" });
    expect(seen).toEqual(["o-0"]);
    expect(w.of("consumed")).toHaveLength(1);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 0 });
    expect(await puller.backlog()).toEqual(EMPTY);
  });

  test("is let go once, however often it is said", async () => {
    const { next } = await started();
    const message = await next();
    let runs = 0;
    const first = message.handle(() => void runs++);
    expect(await message.bury("no")).toEqual({ status: "ack" });
    expect(await first).toEqual({ status: "ack" });
    expect(runs).toBe(1);
  });

  test("that is acknowledged is remembered by the inbox, so that a copy does nothing", async () => {
    const { w, service, next, ending } = await started();
    expect(await (await next()).ack()).toEqual({ status: "ack" });
    const [sent] = w.commands.filter(([name, , , , , , id]) => name === "EVAL" && id?.endsWith("_0"));
    await w.redis.execute(sent!);
    ending.abort();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    expect(await w.worker(service).pull()).toMatchObject({ acknowledged: 1 });
    expect(runs).toBe(0);
    expect(w.of("duplicate")).toHaveLength(1);
  });

  test("that is put back comes again after the wait, with the next attempt, and is a dead letter in the end", async () => {
    const { w, service, next } = await started();
    for (let attempt = 1; attempt <= 4; attempt++) {
      const message = await next();
      expect(message.attempt).toBe(attempt);
      const askedAt = w.clock.now();
      const disposition = await message.retry({ after: "20s", reason: "not yet" });
      expect(disposition.status).toBe(attempt < 4 ? "retry" : "ack");
      expect(w.clock.now()).toBe(askedAt);
    }
    expect((await service.ac.operator().log.listDead()).items).toEqual([
      expect.objectContaining({ detail: "not yet" }),
    ]);
  });

  test("that is buried is a dead letter with the reason, and can be redriven", async () => {
    const { service, next } = await started();
    await (await next()).bury("no such order");
    const { items } = await service.ac.operator().log.listDead();
    expect(items).toEqual([expect.objectContaining({ detail: "no such order" })]);
    await service.ac.operator().redrive(items[0]!.record.key);
    const again = await next();
    expect(again.envelope.data).toEqual({ orderId: "o-0" });
    await again.ack();
  });

  test("whose handler throws is put back, and the loop goes on", async () => {
    const { next } = await started(2);
    const handled = await (
      await next()
    ).handle(() => {
      throw new RetryableError("later", { retryAfter: "1m" });
    });
    expect(handled).toEqual({ status: "retry", reason: "later", afterMillis: 60_000 });
    await (await next()).ack();
  });

  test("lapses after the visibility time, and says so; letting it go then changes nothing for who has it", async () => {
    const { w, service, next } = await started();
    const message = await next();
    await w.clock.advance(59_000);
    expect(message.lost.aborted).toBe(false);
    await w.clock.advance(2_000);
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    expect(await w.worker(service).pull()).toMatchObject({ acknowledged: 1 });
    await w.clock.advance(20_000);
    expect(message.lost.aborted).toBe(true);
    expect(await message.extend()).toBe(false);
    expect(await message.ack()).toEqual({ status: "ack" });
    expect(runs).toBe(1);
    expect(w.of("duplicate")).toHaveLength(1);
  });

  test("stays for as long as it is extended, and no longer", async () => {
    const { w, service, next } = await started();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    const other = w.worker(service);
    const message = await next();
    expect(await message.extend("5m")).toBe(true);
    for (let i = 0; i < 10; i++) {
      await w.clock.advance(30_000);
      expect(await other.pull()).toMatchObject({ taken: 0 });
    }
    expect(message.lost.aborted).toBe(false);
    for (let i = 0; i < 4; i++) await w.clock.advance(30_000);
    expect(await other.pull()).toMatchObject({ taken: 1, acknowledged: 1 });
    expect(message.lost.aborted).toBe(true);
  });

  test("refuses a length of time that is none", async () => {
    const { next } = await started();
    const message = await next();
    await expect(message.extend("soon")).rejects.toThrow(TypeError);
    expect(() => message.retry({ after: "soon" })).toThrow(TypeError);
    await message.ack();
  });

  test("is not given while as many as a batch are in hand, until one is let go", async () => {
    const { w, next, messages } = await started(4, { batch: 2 });
    const [first] = [await next(), await next()];
    let third: PulledMessage | undefined;
    const waiting = messages.next().then(({ value }) => (third = value ?? undefined));
    await w.clock.advance(5_000);
    expect(third).toBeUndefined();
    await first.ack();
    await w.clock.advance(5_000);
    await waiting;
    expect(third).toBeDefined();
  });

  test("that was fetched and not yet given is put back untried when the loop is left", async () => {
    const w = streamWorld();
    const service = w.service();
    for (let i = 0; i < 5; i++) await w.order(service, `o-${i}`);
    const puller = w.worker(service);
    for await (const message of puller.messages(orderPaid)) {
      await message.ack();
      break;
    }
    expect(await puller.backlog()).toEqual({ ready: 4, pending: 0, later: 0 });
    const attempts: number[] = [];
    service.ac.subscribe(orderPaid, "receipt", ({ attempt }) => void attempts.push(attempt));
    await w.worker(service).pull();
    expect(attempts).toEqual([1, 1, 1, 1]);
  });

  test("ends the loop where it was told to end while waiting", async () => {
    const { w, next, messages, ending } = await started();
    await (await next()).ack();
    const waiting = messages.next();
    ending.abort();
    await w.clock.advance(0);
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});
