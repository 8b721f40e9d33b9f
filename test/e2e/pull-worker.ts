import { Redis } from "ioredis";
import { aftercommit, topic } from "aftercommit";
import { redis } from "aftercommit/redis";
import { pull } from "aftercommit/redis-streams";
import * as z from "zod/mini";

/** A worker as a process of its own: `node pull-worker.ts <redis url> <hang | work>`. It says on its output what it does. */
const [url = "", way = ""] = process.argv.slice(2);
const client = new Redis(url);
const blocking = client.duplicate();
const ending = new AbortController();

const ac = aftercommit({
  log: redis(client),
  consumers: { lease: "3s", renewEvery: "1s" },
  observer: { event: () => {} },
});
ac.subscribe(topic("order.paid", z.object({ orderId: z.string() })), "receipt", async ({ id, attempt }) => {
  console.log(`begun ${id} ${attempt}`);
  if (way === "hang") await new Promise(() => {});
  console.log(`done ${id} ${attempt}`);
});
process.once("SIGTERM", () => ending.abort());
console.log("ready");
await pull(ac, client, { from: "stream:orders/receipt", visibility: "3s", blocking }).run({ signal: ending.signal });
await client.quit();
await blocking.quit();
console.log("ended");
