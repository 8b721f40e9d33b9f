/** A Worker on D1 and a queue that can be made to fail: what goes wrong is said by the order, or told beforehand. */
import { aftercommit, FatalError, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { worker } from "aftercommit/cloudflare";
import { cloudflareQueues, queueHandler } from "aftercommit/cloudflare-queues";
import type { QueueLike } from "aftercommit/cloudflare-queues";
import { d1 } from "aftercommit/sql";
import type { D1Database, Queue } from "@cloudflare/workers-types";
import { Hono } from "hono";
import type { Context } from "hono";
import * as z from "zod/mini";

interface Bindings {
  readonly DB: D1Database;
  readonly ORDERS: Queue;
  readonly OPERATOR_TOKEN: string;
  readonly GATE_URL: string;
}

/** How the next calls of the queue go. */
export interface QueueFaults {
  /** So many batches are refused as too many. */
  readonly refusals?: number;
  /** Each batch is sent twice. */
  readonly twice?: boolean;
  /** A batch comes as far as the gate, and then spins until the process is killed. */
  readonly spin?: boolean;
}

let faults: QueueFaults = {};

function faulty(queue: Queue, gate: string): QueueLike {
  return {
    async sendBatch(messages) {
      const { refusals = 0, twice = false, spin = false } = faults;
      if (refusals > 0) {
        faults = { ...faults, refusals: refusals - 1 };
        throw new Error("Queue sendBatch failed: Too Many Requests");
      }
      if (spin) {
        await fetch(gate);
        for (;;) Math.sqrt(2);
      }
      await queue.sendBatch(messages);
      if (twice) await queue.sendBatch(messages);
    },
  };
}

const order = z.object({
  orderId: z.string(),
  behaviour: z.enum(["done", "third", "poison", "fatal"]),
});
const orderPlaced = topic("order.placed", order);

const ac = aftercommit<Bindings>((env) => ({
  source: "queue-service",
  databases: { main: d1(env.DB) },
  inbox: "main",
  transport: cloudflareQueues({ orders: faulty(env.ORDERS, env.GATE_URL) }),
  routes: { [orderPlaced.name]: "queue:orders/receipt" },
  operations: { bearer: env.OPERATOR_TOKEN },
  recovery: { longestRequest: 1, deadline: 2 },
}));

ac.subscribe(orderPlaced, "receipt", async (message, { DB }) => {
  const { orderId, behaviour } = message.data;
  await DB.prepare("insert into runs (order_id, attempt) values (?, ?)").bind(orderId, message.attempt).run();
  const mended = await DB.prepare("select 1 from mended where order_id = ?").bind(orderId).first();
  if (mended === null) {
    if (behaviour === "fatal") throw new FatalError("no such article");
    if (behaviour === "poison" || (behaviour === "third" && message.attempt < 3)) throw new Error("no paper");
  }
  await message.batch("main", [
    DB.prepare("insert into effects (order_id, message_id) values (?, ?)").bind(orderId, message.id),
  ]);
});

type App = AftercommitEnv<Bindings>;
const app = new Hono<App>();

async function place(c: Context<App>, between?: () => Promise<unknown>): Promise<string> {
  const { tx } = c.var;
  const given = (await c.req.json()) as { behaviour?: "done"; retries?: number };
  // From here on the request does not need its client any more.
  await between?.();
  const orderId = crypto.randomUUID();
  const { behaviour = "done", retries = 3 } = given;
  await tx.publish(orderPlaced, { orderId, behaviour }, { retries });
  await tx.batch("main", [c.env.DB.prepare("insert into orders (id, tx_id) values (?, ?)").bind(orderId, tx.id)]);
  return orderId;
}

app.post("/faults", async (c) => {
  faults = await c.req.json();
  return c.text("");
});
app.use("/orders/*", ac.transaction({ database: "main" }));
app.post("/orders", async (c) => c.json({ orderId: await place(c) }, 201));
app.post("/orders/held", async (c) => {
  const orderId = await place(c, () => fetch(c.env.GATE_URL));
  return c.json({ orderId }, 201);
});
app.post("/orders/work-that-throws", async (c) => {
  const orderId = await place(c);
  c.executionCtx.waitUntil(Promise.reject(new Error("the work after the response failed")));
  c.executionCtx.waitUntil(
    Promise.resolve().then(() => {
      throw new Error("and so did this");
    }),
  );
  return c.json({ orderId }, 201);
});
app.post("/orders/stream", async (c) => {
  const orderId = await place(c);
  const chunks = ["<html><p>", `order ${orderId}`];
  const body = new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.error(new Error("the template broke in the middle of the page"));
      else controller.enqueue(new TextEncoder().encode(chunk));
    },
  });
  return new Response(body, { status: 200 });
});
app.route("/_aftercommit", ac.operations());

export default worker(app, ac, {
  queue: queueHandler(ac, { deadLetterQueues: ["orders-dead"], retryDelaySeconds: () => 0 }),
});
