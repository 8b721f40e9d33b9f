import { readFileSync } from "node:fs";
import { schemaOf } from "aftercommit/sql";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { bundleWorker } from "./bundle.ts";
import { readWrangler, startQueueWorker } from "./queue-worker.ts";
import type { QueueWorker } from "./queue-worker.ts";

const folder = new URL("../../../examples/worker-d1/", import.meta.url);
const entry = new URL("worker.ts", folder);
const wrangler = readWrangler(new URL("wrangler.jsonc", folder));
const migrations = ["0001_aftercommit.sql", "0002_orders.sql"].map((name) => new URL(`migrations/${name}`, folder));

async function start(compatibilityFlags: readonly string[] = []): Promise<QueueWorker> {
  const worker = await startQueueWorker({ entry, wrangler, migrations, compatibilityFlags });
  onTestFinished(() => worker.stop());
  return worker;
}

const eventually = (check: () => Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 15_000, interval: 20 });

async function order(worker: QueueWorker, article: string): Promise<string> {
  const response = await worker.post("/orders", { article, cents: 420 });
  expect(response.status).toBe(201);
  return ((await response.json()) as { orderId: string }).orderId;
}

test("the example's configuration names what its code uses", () => {
  expect(new URL(wrangler.main, folder).href).toBe(entry.href);
  expect(wrangler.triggers.crons).toEqual(["* * * * *"]);
  const consumed = wrangler.queues.consumers.map(({ queue }) => queue);
  for (const { queue } of wrangler.queues.producers) expect(consumed).toContain(queue);
  for (const { dead_letter_queue: given } of wrangler.queues.consumers)
    if (given !== undefined) expect(consumed).toContain(given);
});

test("the example's first migration is the schema that the library asks for", () => {
  expect(readFileSync(migrations[0]!, "utf8").trim()).toBe(schemaOf("sqlite").trim());
});

test("the example's bundle imports nothing from Node", async () => {
  const { code, externals } = await bundleWorker(entry);
  expect(externals).toEqual([]);
  expect(code).not.toMatch(/["'`]node:\w/);
});

describe.each([
  ["without compatibility flags", []],
  ["with nodejs_compat", ["nodejs_compat"]],
] as const)("the example in workerd, %s", (_, flags) => {
  test("an order writes its receipt and takes its article out of stock, once each", async () => {
    const worker = await start(flags);
    const orderIds = await Promise.all(Array.from({ length: 10 }, () => order(worker, "tea")));
    await eventually(async () => {
      const receipts = await worker.query<{ id: string }>("select order_id as id from receipts order by order_id");
      expect(receipts.map(({ id }) => id)).toEqual(orderIds.toSorted());
      expect(await worker.query("select in_stock from articles where name = 'tea'")).toEqual([{ in_stock: 90 }]);
    });
    expect(await worker.operator("GET", "/counts")).toMatchObject({ unsettled: 0, dead: 0 });
    const shown = await fetch(`${worker.url}/orders/${orderIds[0]}`);
    expect(await shown.json()).toEqual({ id: orderIds[0], article: "tea", cents: 420, receipt: 1 });
  });

  test("an order that is not valid is nothing at all", async () => {
    const worker = await start(flags);
    expect((await worker.post("/orders", { article: "tea" })).status).toBe(400);
    expect(await worker.query("select * from orders")).toEqual([]);
    expect(await worker.query("select * from aftercommit_barrier")).toEqual([]);
  });

  test("an article that was never sold is a dead letter, which a person redrives once it is mended", async () => {
    const worker = await start(flags);
    const orderId = await order(worker, "sofa");
    type Dead = { items: readonly { detail: string; record: { key: string; destination: string } }[] };
    let dead: Dead["items"] = [];
    await eventually(async () => {
      dead = (await worker.operator<Dead>("GET", "/dead")).items;
      expect(dead).toHaveLength(1);
      expect(await worker.query("select order_id from receipts")).toEqual([{ order_id: orderId }]);
    });
    expect(dead[0]).toMatchObject({
      detail: 'there is no article "sofa"',
      record: { destination: "queue:orders/stock" },
    });
    await worker.query("insert into articles (name, in_stock) values ('sofa', 1)");
    await worker.operator("POST", `/dead/${dead[0]!.record.key}/redrive`);
    await eventually(async () => {
      expect(await worker.query("select in_stock from articles where name = 'sofa'")).toEqual([{ in_stock: 0 }]);
    });
    expect(await worker.operator("GET", "/counts")).toMatchObject({ unsettled: 0, dead: 0 });
  });

  test("the Cron Trigger ends well, and asks for no retry", async () => {
    const worker = await start(flags);
    expect(await worker.scheduled()).toMatchObject({ outcome: "ok", noRetry: true });
  });
});
