import { describe, expect, test } from "vitest";
import { createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import { pull, redisStreams } from "../../../adapters/redis-streams/index.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";
import { EMPTY, memoryWorld, SOURCE } from "../../support/barrier-world.ts";
import type { Shop } from "../../support/barrier-world.ts";
import { aftercommit, FatalError, transports } from "aftercommit";
import { ELSEWHERE } from "../../support/world.ts";
import { orderPaid, RECEIPT, streamWorld } from "./stream-world.ts";

const HOUR = 3_600_000;

describe("a Redis that loses its streams", () => {
  test("gets a message again from a log that lies elsewhere, until it is done", async () => {
    const w = streamWorld();
    const service = w.service();
    let runs = 0;
    service.ac.subscribe(orderPaid, "receipt", () => void runs++);
    await w.order(service);
    w.engine.flushAll();
    const puller = w.worker(service);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    await w.clock.advance(HOUR);
    await service.ac.operator().sweep();
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(runs).toBe(1);
    expect(await service.ac.operator().log.counts()).toMatchObject({ unsettled: 0 });
  });

  test("gets no copies of what it has still got", async () => {
    const w = streamWorld();
    const service = w.service();
    service.ac.subscribe(orderPaid, "receipt", () => {});
    await w.order(service);
    for (let i = 0; i < 40; i++) {
      await w.clock.advance(HOUR);
      await service.ac.operator().sweep();
    }
    expect(w.of("published").filter(({ deduplicated }) => deduplicated).length).toBeGreaterThan(3);
    expect(await w.worker(service).backlog()).toEqual({ ready: 1, pending: 0, later: 0 });
  });
});

/** A shop whose orders go to a stream, with workers that do their work in the same database. */
function barrierShop(routes: string | readonly string[] = RECEIPT) {
  const w = memoryWorld();
  const engine = createRedisEngine({ now: () => w.clock.now() });
  const redis = backendExecutor(engine);
  const streams = redisStreams(redis, { channels: ["orders"], clock: w.clock });
  const overrides = {
    transport: transports(w.transport, streams),
    inbox: "main",
    routes: { [orderPaid.name]: routes },
  };
  const shop = (): Shop => {
    const made = w.shop(async (c) => {
      await w.work(c.var.tx, ["order"], () => c.var.tx.publish(orderPaid, { orderId: "o-1" }));
      return c.text("ok");
    }, overrides);
    made.ac.subscribe(orderPaid, "receipt", async (message) => {
      await message.run("main", async (sql) => {
        await (sql as { insert(key: string, value: string): Promise<void> }).insert(
          `receipt ${message.data.orderId} ${Math.random()}`,
          "sent",
        );
      });
    });
    return made;
  };
  const worker = (made: Shop) => pull(made.ac, redis, { from: RECEIPT, clock: w.clock });
  const receipts = () => w.keys().filter((key) => key.startsWith("receipt"));
  const unsettled = async () => (await w.database.reader.counts(SOURCE)).unsettled;
  /** Lets time pass until a sweep has looked at every row. */
  const recover = async (made: Shop, hours = 1) => {
    for (let i = 0; i < hours * 4; i++) {
      await w.age(HOUR / 4);
      await made.ac.operator().sweep({ audit: true });
    }
  };
  return { w, engine, redis, shop, worker, receipts, unsettled, recover };
}

describe("a barrier row whose message went to a stream", () => {
  test("is settled when the message is done, and not before", async () => {
    const { shop, worker, unsettled, receipts } = barrierShop();
    const made = shop();
    await made.ordered();
    expect(await unsettled()).toBe(1);
    await worker(made).pull();
    expect(receipts()).toHaveLength(1);
    expect(await unsettled()).toBe(0);
  });

  test("sends it again after Redis was lost whole, and the effect is exactly once", async () => {
    const { w, engine, shop, worker, unsettled, receipts, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    const puller = worker(made);
    engine.flushAll();
    w.store.restore(EMPTY);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    await recover(made);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(receipts()).toHaveLength(1);
    expect(await unsettled()).toBe(0);
  });

  test("does so after Redis was lost while a worker had the message in its hands, and the effect is exactly once", async () => {
    const { w, engine, redis, shop, worker, unsettled, receipts, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    let lost = false;
    const losing = {
      execute: async (command: readonly string[]) => {
        const reply = await redis.execute(command);
        if (command[0] === "XREADGROUP" && !lost) {
          lost = true;
          engine.flushAll();
        }
        return reply;
      },
    };
    await pull(made.ac, losing, { from: RECEIPT, clock: w.clock }).pull();
    expect(receipts()).toHaveLength(1);
    await recover(made, 3);
    await worker(made).pull();
    expect(receipts()).toHaveLength(1);
    expect(await unsettled()).toBe(0);
  });

  test("that was done is found so where the worker could not say so in the row", async () => {
    const { w, redis, shop, unsettled, receipts, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    // A worker elsewhere, with the same database under another configuration: it knows no streams to publish to.
    const elsewhere = w.service({ inbox: "main", transport: w.transport, routes: {} });
    elsewhere.ac.subscribe(orderPaid, "receipt", (message) =>
      message.run("main", async (sql) => {
        await (sql as { insert(key: string, value: string): Promise<void> }).insert("receipt elsewhere", "sent");
      }),
    );
    await pull(elsewhere.ac, redis, { from: RECEIPT, clock: w.clock }).pull();
    expect(receipts()).toEqual(["receipt elsewhere"]);
    expect(await unsettled()).toBe(1);
    await recover(made);
    expect(await unsettled()).toBe(0);
    expect(w.of("delivered")).toHaveLength(1);
  });

  test("is settled beside a delivery to a URL when both are through", async () => {
    const { w, shop, worker, unsettled } = barrierShop([RECEIPT, ELSEWHERE]);
    const made = shop();
    await made.ordered();
    expect(w.transport.accepted).toHaveLength(1);
    await worker(made).pull();
    expect(await unsettled()).toBe(0);
    expect(w.transport.accepted).toHaveLength(1);
  });

  test("keeps the delivery that died, and sends it again through the stream on a redrive", async () => {
    const { w, engine, redis, shop, unsettled, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    const dying = w.service({ inbox: "main", transport: w.transport, routes: {} });
    dying.ac.subscribe(orderPaid, "receipt", () => {
      throw new Error("no");
    });
    const puller = pull(dying.ac, redis, { from: RECEIPT, clock: w.clock, retryDelay: () => 0 });
    for (let i = 0; i < 10; i++) await puller.pull();
    const operator = made.ac.operator();
    const { items } = await w.database.reader.listDead(SOURCE);
    expect(items).toHaveLength(1);
    expect(await unsettled()).toBe(0);
    await operator.redrive(Object.keys(items[0]!.results)[0]!);
    expect(await unsettled()).toBe(1);
    engine.flushAll();
    await recover(made, 13);
    const again = pull(made.ac, redis, { from: RECEIPT, clock: w.clock });
    expect(await again.pull()).toMatchObject({ acknowledged: 1 });
    expect(await unsettled()).toBe(0);
  });

  test("is not sent again where a worker that shares the log alone has made it a dead letter, and can be redriven from there", async () => {
    const { w, redis, shop, unsettled, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    const { databases: _, ...options } = w.options({ transport: w.transport, routes: {} });
    const elsewhere = aftercommit(options);
    let broken = true;
    let runs = 0;
    elsewhere.subscribe(orderPaid, "receipt", () => {
      runs++;
      if (broken) throw new FatalError("no");
    });
    const puller = pull(elsewhere, redis, { from: RECEIPT, clock: w.clock });
    await puller.pull();
    await recover(made, 10);
    expect(await unsettled()).toBe(0);
    expect(await puller.pull()).toMatchObject({ taken: 0 });
    const { items } = await made.ac.operator().log.listDead();
    broken = false;
    await made.ac.operator().redrive(items[0]!.record.key);
    await recover(made);
    expect(await puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(runs).toBe(2);
  });

  test("is no longer sent once no transport would retry it, where nobody here can tell whether it is done", async () => {
    const { w, engine, shop, unsettled, recover } = barrierShop();
    const made = shop();
    await made.ordered();
    await recover(made, 47);
    expect(await unsettled()).toBe(1);
    await recover(made, 12);
    expect(await unsettled()).toBe(0);
    expect(engine.execute(["XLEN", "{aftercommit:stream:orders}:receipt"])).toBe(1);
    expect(w.of("dead")).toEqual([]);
  });
});
