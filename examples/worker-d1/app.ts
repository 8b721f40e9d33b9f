import type { AftercommitEnv } from "aftercommit";
import { Hono } from "hono";
import * as z from "zod/mini";
import type { Bindings } from "./bindings.ts";
import { ac, orderPlaced } from "./service.ts";

const newOrder = z.object({ article: z.string(), cents: z.int() });

/** The Worker's HTTP side. */
export const app = new Hono<AftercommitEnv<Bindings>>();

app.use("/orders", ac.transaction({ database: "main" }));
app.post("/orders", async (c) => {
  const { tx } = c.var;
  const order = newOrder.safeParse(await c.req.json());
  if (!order.success) return c.json({ error: "expected an article and its price in cents" }, 400);
  const { article, cents } = order.data;
  const orderId = crypto.randomUUID();
  await tx.publish(orderPlaced, { orderId, article, cents });
  await tx.batch("main", [
    c.env.DB.prepare("insert into orders (id, tx_id, article, cents) values (?1, ?2, ?3, ?4)").bind(
      orderId,
      tx.id,
      article,
      cents,
    ),
  ]);
  return c.json({ orderId }, 201);
});

app.get("/orders/:id", async (c) => {
  const order = await c.env.DB.prepare(
    `select orders.id, article, cents, receipts.message_id is not null as receipt
     from orders left join receipts on receipts.order_id = orders.id where orders.id = ?1`,
  )
    .bind(c.req.param("id"))
    .first();
  return order === null ? c.json({ error: "no such order" }, 404) : c.json(order);
});

app.route("/_aftercommit", ac.operations());
