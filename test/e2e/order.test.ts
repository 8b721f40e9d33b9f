import { Client } from "@upstash/qstash";
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv, PublishOptions, TopicOptions } from "aftercommit";
import { startDevServer } from "aftercommit/dev";
import { memoryStore } from "aftercommit/memory";
import { qstash } from "aftercommit/qstash";
import { Hono } from "hono";
import { expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod/mini";

/** What QStash makes of order and limits, by the embedded one: whatever is published passes its REST API. */

interface Ledger {
  /** Publishes by a request of its own, and waits until QStash has it. */
  post(account: string, entry: number): Promise<void>;
  /** What was booked, in its order, once there is so much. */
  booked(count: number): Promise<readonly string[]>;
  /** How many handlers ran at a time, at most. */
  mostAtOnce(): number;
}

/** A ledger whose first entry fails twice. */
async function startLedger(
  options: TopicOptions,
  publishOptions: (account: string) => PublishOptions,
): Promise<Ledger> {
  const entryMade = topic("entry.made", z.object({ account: z.string(), entry: z.number() }), {
    retryDelay: "50",
    ...options,
  });
  const app = new Hono<AftercommitEnv>();
  const dev = await startDevServer({ qstash: { fetch: async (input, init) => app.request(input, init) } });
  onTestFinished(() => dev.close());
  const ac = aftercommit({
    publicUrl: "http://127.0.0.1:3000",
    dev: true,
    log: memoryStore(),
    transport: qstash({ client: new Client({ baseUrl: dev.qstash.url, token: dev.qstash.token }), ...dev.qstash }),
    routes: { [entryMade.name]: ["/book"] },
  });
  const booked: string[] = [];
  let [failures, running, most] = [2, 0, 0];
  app.post("/entries/:account/:entry", ac.transaction(), async (c) => {
    const { account, entry } = c.req.param();
    await c.var.tx.publish(entryMade, { account, entry: Number(entry) }, publishOptions(account));
    return c.body(null, 201);
  });
  app.post(
    "/book",
    ac.consumer(entryMade, async ({ data: { account, entry } }) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      if (entry === 0 && failures-- > 0) throw new Error("not yet");
      booked.push(`${account}${entry}`);
    }),
  );
  return {
    async post(account, entry) {
      expect((await app.request(`/entries/${account}/${entry}`, { method: "POST" })).status).toBe(201);
      await ac.drain();
    },
    async booked(count) {
      await vi.waitFor(() => expect(booked).toHaveLength(count), { timeout: 20_000, interval: 10 });
      await dev.qstash.engine.idle();
      return booked;
    },
    mostAtOnce: () => most,
  };
}

test("messages with one key are consumed in the order in which they were handed over, though the first fails", async () => {
  const ledger = await startLedger({}, (account) => ({ orderKey: account }));
  for (let entry = 0; entry < 5; entry++) await ledger.post("a", entry);
  expect(await ledger.booked(5)).toEqual(["a0", "a1", "a2", "a3", "a4"]);
});

test("without a key those behind go ahead of the one that fails", async () => {
  const ledger = await startLedger({}, () => ({}));
  for (let entry = 0; entry < 5; entry++) await ledger.post("a", entry);
  const booked = await ledger.booked(5);
  expect(booked.toSorted()).toEqual(["a0", "a1", "a2", "a3", "a4"]);
  expect(booked.indexOf("a0")).toBeGreaterThan(0);
});

test("messages with keys in other queues do not wait", async () => {
  const ledger = await startLedger({ orderQueues: 2 }, (account) => ({ orderKey: account }));
  await ledger.post("a", 0);
  await ledger.post("b", 1);
  await ledger.post("a", 2);
  const booked = await ledger.booked(3);
  expect(booked[0]).toBe("b1");
  expect(booked.slice(1)).toEqual(["a0", "a2"]);
});

test("no more deliveries run at a time than the topic allows", async () => {
  const limited = await startLedger({ flow: { parallelism: 2 } }, () => ({}));
  const free = await startLedger({}, () => ({}));
  for (const ledger of [limited, free]) {
    await Promise.all(Array.from({ length: 12 }, (_, entry) => ledger.post("a", entry + 1)));
    expect(await ledger.booked(12)).toHaveLength(12);
  }
  expect(limited.mostAtOnce()).toBeLessThanOrEqual(2);
  expect(free.mostAtOnce()).toBeGreaterThan(2);
});
