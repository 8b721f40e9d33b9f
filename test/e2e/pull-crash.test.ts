import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { aftercommit } from "aftercommit";
import type { Aftercommit, AftercommitEnv, Event } from "aftercommit";
import { memoryDatabase, memoryStore } from "aftercommit/memory";
import type { MemoryDatabase, MemorySql, MemoryStore, Snapshot } from "aftercommit/memory";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import type { RedisEngine } from "../../adapters/dev/redis/index.ts";
import type { RedisExecutor } from "../../adapters/redis/index.ts";
import { pull, redisStreams } from "../../adapters/redis-streams/index.ts";
import type { Puller } from "../../adapters/redis-streams/index.ts";
import { simulatedClock } from "../../src/testing/simulated-clock.ts";
import type { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { backendExecutor } from "../support/upstash-endpoint.ts";
import { atEachAwait, await_, FAULTS, orderPaid, processWith, storeOf, through } from "./crash-world.ts";
import type { Fault, Process } from "./crash-world.ts";

/**
 * An order, from its row through a stream to its effect: a crash, an error or a lost reply at each await of the one process
 * that publishes and fetches; then sound processes recover. The order and its effect lie in one business database.
 */

/** Everything that outlives a process. */
interface World {
  readonly clock: SimulatedClock;
  readonly engine: RedisEngine;
  readonly store: MemoryStore;
  /** A store that holds nothing. */
  readonly nothing: Snapshot;
  readonly database: MemoryDatabase;
  readonly events: Event[];
}

const FROM = "stream:orders/receipt";
const URL_BASE = "https://shop.example.com";
const EMPTY = { ready: 0, pending: 0, later: 0 };

function newWorld(): World {
  const clock = simulatedClock();
  const store = memoryStore({ clock });
  return {
    clock,
    nothing: store.snapshot(),
    engine: createRedisEngine({ now: () => clock.now() }),
    store,
    database: memoryDatabase({ clock }),
    events: [],
  };
}

/** What a handler does with its message, in its place. */
type Receipt = (process: Process, attempt: number) => Promise<void>;
const succeed: Receipt = async () => {};

interface Started {
  readonly operator: ReturnType<Aftercommit["operator"]>;
  readonly redis: RedisExecutor;
  order(): Promise<unknown>;
  readonly puller: Pick<Puller, "pull" | "backlog">;
}

/** A process of the shop: everything that it awaits of Redis and of the log is a fault point; so is the end of its SQL. */
function start(
  world: World,
  process: Process,
  receipt: Receipt = succeed,
  options: { retries?: number } = {},
): Started {
  const backend = backendExecutor(world.engine);
  const redis: RedisExecutor = {
    execute: (command) => await_(process, `redis.${command[0]!}`, () => backend.execute(command)),
  };
  const { database } = world;
  const brokenOff = process.died.then((): never => {
    throw new Error("the connection broke off");
  });
  brokenOff.catch(() => undefined);
  const reached: MemoryDatabase = {
    ...database,
    barrier: through(process, "barrier", database.barrier),
    reader: through(process, "reader", database.reader),
    inbox: through(process, "inbox", database.inbox),
    write: (riders) => await_(process, "database.write", () => database.write(riders)),
    // Who dies before its COMMIT leaves nothing.
    run: (work, unit) =>
      await_(process, "database.run", () => database.run((open) => Promise.race([work(open), brokenOff]), unit)),
  };
  const ac = aftercommit({
    publicUrl: URL_BASE,
    log: storeOf(process, world.store),
    databases: { main: reached },
    inbox: "main",
    transport: redisStreams(redis, { channels: ["orders"], clock: world.clock }),
    routes: { [orderPaid.name]: FROM },
    clock: world.clock,
    observer: { event: (event) => world.events.push(event) },
  });
  const app = new Hono<AftercommitEnv>();
  app.post("/orders", ac.transaction({ database: "main" }), async (c) => {
    const { tx } = c.var;
    await tx.run("main", async (sql) => {
      await (sql as MemorySql).insert("order", "paid");
      await tx.publish(orderPaid, { orderId: "order-1" }, { retries: options.retries ?? 3 });
    });
    return c.text("ok");
  });
  app.onError((_, c) => c.text("no", 500));
  ac.subscribe(orderPaid, "receipt", async (message) => {
    await message.run("main", async (sql) => {
      await receipt(process, message.attempt);
      // A second effect would have a key of its own.
      await sql.insert(`receipt ${message.id} ${receipts(world).length}`, "sent");
    });
  });
  const puller = pull(ac, redis, { from: FROM, clock: world.clock, visibility: "30s" });
  return {
    operator: ac.operator(),
    redis,
    puller,
    async order() {
      const answered = await app.request(`${URL_BASE}/orders`, { method: "POST" });
      await ac.drain();
      return answered.status;
    },
  };
}

/** Runs what may die, for as long as it lives, letting time pass for what it waits for. */
async function alive(world: World, process: Process, run: () => Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const running = run().then(
    () => over.abort(),
    () => over.abort(),
  );
  for (let i = 0; i < 100 && !over.signal.aborted && !process.dead; i++) await world.clock.advance(1_000);
  await Promise.race([running, process.died]);
}

/** A sound process sweeps and fetches until nothing is left. */
async function recover(world: World, receipt: Receipt = succeed): Promise<Started> {
  const sound = start(world, processWith(), receipt);
  for (let i = 0; i < 14; i++) {
    await world.clock.advance(900_000);
    await sound.operator.sweep({ audit: true });
    await alive(world, processWith(), () => sound.puller.pull());
  }
  return sound;
}

const receipts = (world: World) => [...world.database.table().keys()].filter((key) => key.startsWith("receipt "));

describe("an order through a stream, in a process that", { timeout: 180_000 }, () => {
  test.each(FAULTS)(
    "%s at any await, has its effect exactly once where it was committed, and not where it was not",
    async (fault: Fault) => {
      const awaits = await atEachAwait(fault, async (process) => {
        const world = newWorld();
        const shop = start(world, process);
        await alive(world, process, async () => {
          await shop.order();
          await shop.puller.pull();
          await shop.puller.pull();
        });
        process.die();
        const sound = await recover(world);
        const ordered = world.database.table().has("order");
        expect(receipts(world), "the effect").toHaveLength(ordered ? 1 : 0);
        expect(await sound.puller.backlog(), "what is left in the stream").toEqual(EMPTY);
        const { unsettled, dead } = await world.database.reader.counts(`${URL_BASE}/`);
        expect({ unsettled, dead }, "the row").toEqual({ unsettled: 0, dead: 0 });
      });
      expect(awaits).toBeGreaterThan(8);
    },
  );

  test.each(FAULTS)(
    "%s at any await, while its handler fails the first time, keeps what is promised",
    async (fault: Fault) => {
      await atEachAwait(fault, async (process) => {
        const world = newWorld();
        const fails: Receipt = async (by, attempt) => {
          if (by === process && attempt === 1) throw new Error("no");
        };
        const shop = start(world, process, fails);
        await alive(world, process, async () => {
          await shop.order();
          for (let i = 0; i < 4; i++) {
            await shop.puller.pull().catch(() => undefined);
            await world.clock.sleep(10_000);
          }
        });
        process.die();
        const sound = await recover(world);
        expect(receipts(world), "the effect").toHaveLength(world.database.table().has("order") ? 1 : 0);
        expect(await sound.puller.backlog(), "what is left in the stream").toEqual(EMPTY);
      });
    },
  );
});

describe("Redis, log and streams, lost whole beside a process that", { timeout: 180_000 }, () => {
  test.each(FAULTS)("%s at any await, loses no order, and doubles none", async (fault: Fault) => {
    await atEachAwait(fault, async (process) => {
      const world = newWorld();
      const shop = start(world, process);
      await alive(world, process, async () => {
        await shop.order();
        await shop.puller.pull();
      });
      process.die();
      world.engine.flushAll();
      world.store.restore(world.nothing);
      const sound = await recover(world);
      expect(receipts(world), "the effect").toHaveLength(world.database.table().has("order") ? 1 : 0);
      expect(await sound.puller.backlog(), "what is left in the stream").toEqual(EMPTY);
      expect((await world.database.reader.counts(`${URL_BASE}/`)).unsettled, "the row").toBe(0);
    });
  });
});

describe("a message that ends every worker that runs it", () => {
  test("is a dead letter after as many as its retries allow, and does so no more; redriven and mended, it is done once", async () => {
    const world = newWorld();
    const producer = start(world, processWith());
    expect(await producer.order()).toBe(200);
    let ended = 0;
    for (let i = 0; i < 20; i++) {
      const process = processWith();
      const worker = start(world, process, async (by) => {
        ended++;
        by.die();
        await new Promise(() => {});
      });
      await alive(world, process, () => worker.puller.pull());
      await world.clock.advance(60_000);
    }
    // Its retries, the first attempt, and what is allowed for neighbours.
    expect(ended).toBe(3 + 1 + 2);
    expect(receipts(world)).toEqual([]);
    const { items } = await world.database.reader.listDead(`${URL_BASE}/`);
    expect(items).toHaveLength(1);
    const sound = start(world, processWith());
    await sound.operator.redrive(items[0]!.records[0]!.key);
    expect(await sound.puller.pull()).toMatchObject({ acknowledged: 1 });
    expect(receipts(world)).toHaveLength(1);
    expect((await world.database.reader.counts(`${URL_BASE}/`)).unsettled).toBe(0);
  });
});
