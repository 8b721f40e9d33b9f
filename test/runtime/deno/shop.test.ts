import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test, vi } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import { findFreePort } from "../free-port.ts";
import { startDeno } from "./deno-process.ts";

test("on Deno, one order makes one delivery for each destination, and one effect of each, all decided by its SQLite file", async () => {
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-deno-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const dev = await startDevServer();
  onTestFinished(() => dev.close());
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(directory, "shop.sqlite");
  const deno = await startDeno("examples/shop/deno.ts", url, {
    PORT: String(port),
    SHOP_DEV: "true",
    SHOP_DATABASE: file,
    UPSTASH_REDIS_REST_URL: dev.redis.url,
    UPSTASH_REDIS_REST_TOKEN: dev.redis.token,
    QSTASH_URL: dev.qstash.url,
    QSTASH_TOKEN: dev.qstash.token,
    QSTASH_CURRENT_SIGNING_KEY: dev.qstash.currentSigningKey,
    QSTASH_NEXT_SIGNING_KEY: dev.qstash.nextSigningKey,
  });
  onTestFinished(async () => void (await deno.stop()));

  const response = await fetch(`${url}/orders`, { method: "POST", body: JSON.stringify({ item: "tea", cents: 420 }) });
  expect(response.status).toBe(201);
  const { orderId } = (await response.json()) as { orderId: string };
  await vi.waitFor(() => expect(dev.qstash.engine.stats()).toMatchObject({ delivered: 2 }), {
    timeout: 10_000,
    interval: 20,
  });
  expect(dev.qstash.engine.stats()).toMatchObject({ published: 2, attempts: 2, delivered: 2, failed: 0 });

  expect((await fetch(`${url}/consumers/receipt`, { method: "POST", body: "{}" })).status).toBe(401);
  expect(await deno.stop()).toBe(0);

  const database = new DatabaseSync(file, { readOnly: true });
  const read = (sql: string) =>
    database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));
  expect(read("select consumer, order_id from effects order by consumer")).toEqual([
    { consumer: "receipt", order_id: orderId },
    { consumer: "stock", order_id: orderId },
  ]);
  const [row] = read(
    "select id, verdict, settled from orders join aftercommit_barrier on transaction_id = tx_id and kind = 'decision'",
  );
  expect(row).toEqual({ id: orderId, verdict: "committed", settled: expect.any(Number) as number });
  expect(read("select distinct consumer from aftercommit_inbox order by consumer")).toEqual([
    { consumer: "receipt" },
    { consumer: "stock" },
  ]);
  database.close();
});
