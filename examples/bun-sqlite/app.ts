import type { Database } from "bun:sqlite";
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv, AftercommitOptions } from "aftercommit";
import { bunSqlite } from "aftercommit/sql";
import { Hono } from "hono";
import * as z from "zod/mini";

const newOrder = z.object({ item: z.string().check(z.minLength(1)), cents: z.int() });
const orderPaid = topic("order.paid", z.object({ orderId: z.string() }), { retries: 3, retryDelay: "1000" });

const TABLES = `
  create table if not exists orders (id text primary key, item text not null, cents integer not null);
  create table if not exists receipts (order_id text not null);
`;

/** An order API: a paid order gets one receipt, if and only if it is there. */
export async function createApp(db: Database, infrastructure: AftercommitOptions) {
  const databases = { main: bunSqlite(db) };
  // Where there are migrations, one of them makes these.
  db.exec(TABLES);
  await databases.main.createTables();
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
    const { item, cents } = order.data;
    const { tx } = c.var;
    const orderId = crypto.randomUUID();
    await tx.run("main", async (sql) => {
      sql.query("insert into orders (id, item, cents) values (?, ?, ?)").run(orderId, item, cents);
      await tx.publish(orderPaid, { orderId });
    });
    return c.json({ orderId }, 201);
  });

  app.get("/orders/:id", (c) => {
    const order = db
      .query(
        `select id, item, cents, (select count(*) from receipts where order_id = orders.id) as receipts
         from orders where id = ?`,
      )
      .get(c.req.param("id"));
    return order === null ? c.notFound() : c.json(order);
  });

  app.post(
    "/consumers/receipt",
    ac.consumer(
      orderPaid,
      async (message) => {
        await message.run("main", async (sql) => {
          sql.query("insert into receipts (order_id) values (?)").run(message.data.orderId);
        });
      },
      { name: "receipt" },
    ),
  );

  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}
