import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv, AftercommitOptions } from "aftercommit";
import { drizzleOrm } from "aftercommit/sql";
import { count, eq, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { Hono } from "hono";
import * as z from "zod/mini";
import { orders, receipts } from "./schema.ts";

const newOrder = z.object({ item: z.string().check(z.minLength(1)), cents: z.int() });
const orderPaid = topic("order.paid", z.object({ orderId: z.string() }), { retries: 3, retryDelay: "1000" });

/** An order API: a paid order gets one receipt, if and only if it is there. */
export function createApp(db: NodePgDatabase, infrastructure: AftercommitOptions) {
  const databases = { main: drizzleOrm(db, { sql, dialect: "postgresql" }) };
  const ac = aftercommit({
    ...infrastructure,
    databases,
    inbox: "main",
    routes: { [orderPaid.name]: "/consumers/receipt" },
  });
  const app = new Hono<AftercommitEnv<object, typeof databases>>();

  app.post("/orders", ac.transaction({ database: "main" }), async (c) => {
    const order = newOrder.safeParse(await c.req.json());
    if (!order.success) return c.json({ error: order.error.issues }, 400);
    const { tx } = c.var;
    const orderId = crypto.randomUUID();
    await tx.run("main", async (sql) => {
      await sql.insert(orders).values({ id: orderId, ...order.data });
      await tx.publish(orderPaid, { orderId });
    });
    return c.json({ orderId }, 201);
  });

  app.get("/orders/:id", async (c) => {
    const id = c.req.param("id");
    const [order] = await db.select().from(orders).where(eq(orders.id, id));
    if (order === undefined) return c.notFound();
    const [sent] = await db.select({ count: count() }).from(receipts).where(eq(receipts.orderId, id));
    return c.json({ ...order, receipts: sent?.count ?? 0 });
  });

  app.post(
    "/consumers/receipt",
    ac.consumer(
      orderPaid,
      async (message) => {
        await message.run("main", async (sql) => {
          await sql.insert(receipts).values({ orderId: message.data.orderId });
        });
      },
      { name: "receipt" },
    ),
  );

  app.route("/_aftercommit", ac.operations());
  return { app, ac, createOwnTables: () => databases.main.createTables() };
}
