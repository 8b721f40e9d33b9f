import { createHash } from "node:crypto";
import { Hono } from "hono";
import { afterAll, describe, expect, test } from "vitest";
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv, AftercommitOptions, Clock, LogStore, Transport } from "aftercommit";
import { memoryDatabase, memoryStore, memoryTransport } from "aftercommit/memory";
import type { MemorySql } from "aftercommit/memory";
import * as z from "zod/mini";
import { simulatedClock } from "../../src/testing/simulated-clock.ts";
import { systemClock } from "../../src/system/clock.ts";
import { webCrypto } from "../../src/system/crypto.ts";
import { intercepted } from "../support/world.ts";

/**
 * How much later a response comes because its request publishes. On the simulated clock only what is waited for takes
 * time, so that the figures are exact; on the real one the work of the processor is in them too.
 */

const REDIS_MILLIS = 80;
const QSTASH_MILLIS = 80;
const STATEMENT_MILLIS = 5;
/** What is allowed for our own work, on the real clock. */
const WORK_MILLIS = 2;

const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));

/** A route of the shop. Each does the same business work: a transaction of two statements, or a batch of them. */
type Route = "/run" | "/run-silent" | "/batch" | "/batch-silent" | "/marked" | "/alone";

interface Shop {
  /** How long the response of a route takes. */
  respond(route: Route): Promise<number>;
  /** Lets what goes on after responses end. */
  rest(): Promise<void>;
  /** The calls of log and transport, by name. */
  readonly calls: string[];
  /** How often the database was called. */
  statements(): number;
}

/** The shop on a clock; `redis` answers after its latency, or never. */
function shop(
  clock: Clock,
  pass: (ended: () => boolean, stepMillis: number) => Promise<void>,
  redis: "answers" | "never answers",
): Shop {
  const calls: string[] = [];
  let statements = 0;
  const counted: Clock = {
    now: () => clock.now(),
    sleep(millis, signal) {
      statements++;
      return clock.sleep(millis, signal);
    },
  };
  const main = memoryDatabase({ clock: counted, latencyMillis: STATEMENT_MILLIS });
  const log: LogStore = intercepted(memoryStore({ clock }), async (call, name) => {
    calls.push(name);
    if (redis === "never answers") return new Promise(() => undefined);
    await clock.sleep(REDIS_MILLIS);
    return call();
  });
  const inner = memoryTransport();
  const transport: Transport = {
    async publish(dispatches) {
      calls.push("publish");
      await clock.sleep(QSTASH_MILLIS);
      return inner.publish(dispatches);
    },
  };
  const options: AftercommitOptions = {
    publicUrl: "https://shop.example.com",
    log,
    transport,
    databases: { main },
    routes: { [orderPaid.name]: ["/consumers/receipt", "/consumers/stock"] },
    clock,
    // Synchronous, as what waits for the system's threads would let simulated time pass.
    crypto: { ...webCrypto, digest: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()) },
    observer: { event: () => undefined },
  };
  const ac = aftercommit(options);
  const app = new Hono<AftercommitEnv>();
  const work = async (sql: MemorySql): Promise<void> => {
    await sql.put("order", "paid");
    await sql.put("stock", 1);
  };
  const statementsOf = [(sql: MemorySql) => sql.put("order", "paid"), (sql: MemorySql) => sql.put("stock", 1)];
  const atBarrier = ac.transaction({ database: "main" });
  for (const silent of [true, false]) {
    const suffix = silent ? "-silent" : "";
    app.post(`/run${suffix}`, atBarrier, async (c) => {
      if (!silent) await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      await c.var.tx.run("main", work);
      return c.text("done");
    });
    app.post(`/batch${suffix}`, atBarrier, async (c) => {
      if (!silent) await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      await c.var.tx.batch("main", statementsOf);
      return c.text("done");
    });
  }
  app.post("/marked", ac.transaction(), async (c) => {
    await c.var.tx.publish(orderPaid, { orderId: "o-1" });
    await main.run(({ sql }) => work(sql));
    return c.text("done");
  });
  app.post("/alone", async (c) => {
    await main.run(({ sql }) => work(sql));
    return c.text("done");
  });

  const timed = async (act: () => Promise<unknown>, stepMillis = 1): Promise<number> => {
    const startedAt = clock.now();
    let endedAt: number | undefined;
    const ending = act().then(() => (endedAt = clock.now()));
    await pass(() => endedAt !== undefined, stepMillis);
    await ending;
    return endedAt! - startedAt;
  };
  return {
    calls,
    statements: () => statements,
    async respond(route) {
      return timed(async () => expect((await app.request(route, { method: "POST" })).status).toBe(200));
    },
    async rest() {
      await timed(() => ac.drain(), 100);
    },
  };
}

/** A shop on a simulated clock, which goes on in small steps. */
function simulatedShop(redis: "answers" | "never answers" = "answers"): Shop {
  const clock = simulatedClock();
  return shop(
    clock,
    async (ended, stepMillis) => {
      for (let millis = 0; !ended() && millis < 20_000; millis += stepMillis) await clock.advance(stepMillis);
    },
    redis,
  );
}

const figures: string[] = [];
afterAll(() => console.info(["", "How long a response takes:", ...figures].join("\n")));

function tell(what: string, millis: number, than: number, thanWhat: string): void {
  const ratio = (millis / than).toFixed(2);
  figures.push(`  ${what}: ${millis.toFixed(1)} ms, ${ratio} × ${thanWhat} (${than.toFixed(1)} ms)`);
}

describe(`with Redis at ${REDIS_MILLIS} ms, QStash at ${QSTASH_MILLIS} ms and ${STATEMENT_MILLIS} ms for each statement`, () => {
  test.each(["answers", "never answers"] as const)(
    "a response at barrier comes at most one statement later than without messages, while Redis %s",
    async (redis) => {
      const { respond, rest, calls } = simulatedShop(redis);
      const silent = await respond("/run-silent");
      expect(calls).toEqual([]);
      const publishing = await respond("/run");
      tell(`tx.run that publishes, Redis ${redis}`, publishing, silent, "the same without messages");
      expect(publishing - silent).toBeLessThanOrEqual(STATEMENT_MILLIS);
      await rest();
      expect(calls, "it was sent afterwards").toContain("publish");
    },
  );

  test.each(["answers", "never answers"] as const)(
    "a response at barrier with a batch comes no later than without messages, while Redis %s",
    async (redis) => {
      const { respond, rest, calls } = simulatedShop(redis);
      const silent = await respond("/batch-silent");
      const publishing = await respond("/batch");
      tell(`tx.batch that publishes, Redis ${redis}`, publishing, silent, "the same without messages");
      expect(publishing).toBe(silent);
      await rest();
      expect(calls).toContain("publish");
    },
  );

  test("a response at marked waits for two calls of Redis", async () => {
    const { respond, rest } = simulatedShop();
    const alone = await respond("/alone");
    const marked = await respond("/marked");
    tell("marked", marked, alone, "the same without messages");
    expect(marked - alone).toBe(2 * REDIS_MILLIS);
    await rest();
    const barrier = await respond("/run");
    tell("barrier", barrier, marked, "marked");
    expect(barrier).toBeLessThan(marked);
    await rest();
  });

  test("a request that publishes nothing calls neither log nor transport, and the database as often as its own work does", async () => {
    const { respond, rest, calls, statements } = simulatedShop();
    const alone = await respond("/alone");
    const own = statements();
    const silent = await respond("/run-silent");
    expect(statements() - own, "begin, two statements, COMMIT").toBe(own);
    const before = statements();
    const batch = await respond("/batch-silent");
    expect(statements() - before, "one call").toBe(1);
    await rest();
    expect(calls).toEqual([]);
    tell("tx.run that publishes nothing", silent, alone, "the database alone");
    tell("tx.batch that publishes nothing", batch, STATEMENT_MILLIS, "one call of the database");
    expect(silent).toBe(alone);
    expect(batch).toBe(STATEMENT_MILLIS);
  });

  test("on the real clock too, by the quickest of requests that take turns", async () => {
    const real = shop(systemClock, async () => undefined, "answers");
    const routes: readonly Route[] = ["/run", "/run-silent", "/batch", "/batch-silent", "/marked"];
    const quickest = new Map<Route, number>();
    for (let round = 0; round < 15; round++)
      for (const route of routes) {
        const startedAt = performance.now();
        await real.respond(route);
        quickest.set(route, Math.min(quickest.get(route) ?? Number.POSITIVE_INFINITY, performance.now() - startedAt));
      }
    await real.rest();
    const [run, runSilent, batch, batchSilent, marked] = routes.map((route) => quickest.get(route)!) as [
      number,
      number,
      number,
      number,
      number,
    ];
    tell("tx.run that publishes, real clock", run, runSilent, "the same without messages");
    tell("tx.batch that publishes, real clock", batch, batchSilent, "the same without messages");
    tell("marked, real clock", marked, run, "barrier");
    // Timers are not exact: what a statement takes here is measured with them, by begin, two statements and COMMIT.
    expect(run - runSilent).toBeLessThanOrEqual(runSilent / 4 + WORK_MILLIS);
    expect(batch - batchSilent).toBeLessThanOrEqual(WORK_MILLIS);
    expect(run).toBeLessThan(marked);
  });
});
