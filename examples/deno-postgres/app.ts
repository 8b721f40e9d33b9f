import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { postgresJs } from "aftercommit/sql";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { Hono } from "hono";
import type postgres from "postgres";
import * as z from "zod/mini";

/** What the app is told of its surroundings. */
export interface Environment {
  readonly PUBLIC_URL: string;
  readonly UPSTASH_REDIS_REST_URL: string;
  readonly UPSTASH_REDIS_REST_TOKEN: string;
  readonly QSTASH_URL?: string;
  readonly QSTASH_TOKEN: string;
  readonly QSTASH_CURRENT_SIGNING_KEY: string;
  readonly QSTASH_NEXT_SIGNING_KEY: string;
  readonly OPERATOR_TOKEN?: string;
  readonly RECOVERY_DEADLINE?: string;
  readonly LONGEST_REQUEST?: string;
  /** "true" on a developer's machine. */
  readonly DEV?: string;
}

const newOrder = z.object({ item: z.string().check(z.minLength(1)), cents: z.int() });
const orderPaid = topic("order.paid", z.object({ orderId: z.string() }), { retries: 3, retryDelay: "1000" });

/** An order API: a paid order gets one receipt, if and only if it is there. */
export function createApp(db: postgres.Sql) {
  const databases = { main: postgresJs(db) };
  // A function: Deno Deploy evaluates a program at its deployment too, without the secrets of production.
  const ac = aftercommit((env: Environment) => ({
    publicUrl: env.PUBLIC_URL,
    dev: env.DEV === "true",
    databases,
    inbox: "main",
    log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN }), {
      namespace: "orders",
    }),
    transport: qstash({
      client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN }),
      currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
      nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
    }),
    routes: { [orderPaid.name]: "/consumers/receipt" },
    recovery: { deadline: env.RECOVERY_DEADLINE ?? "2m", longestRequest: env.LONGEST_REQUEST ?? "1m" },
    operations: { bearer: env.OPERATOR_TOKEN },
  }));
  const app = new Hono<AftercommitEnv<object, typeof databases>>();

  app.post("/orders", ac.transaction({ database: "main" }), async (c) => {
    const order = newOrder.safeParse(await c.req.json());
    if (!order.success) return c.json({ error: order.error.issues }, 400);
    const { item, cents } = order.data;
    const { tx } = c.var;
    const orderId = crypto.randomUUID();
    await tx.run("main", async (sql) => {
      await sql`insert into orders (id, item, cents) values (${orderId}, ${item}, ${cents})`;
      await tx.publish(orderPaid, { orderId });
    });
    return c.json({ orderId }, 201);
  });

  app.get("/orders/:id", async (c) => {
    const [order] = await db`
      select id, item, cents, (select count(*)::int from receipts where order_id = orders.id) as receipts
      from orders where id = ${c.req.param("id")}`;
    return order === undefined ? c.notFound() : c.json(order);
  });

  app.post(
    "/consumers/receipt",
    ac.consumer(
      orderPaid,
      async (message) => {
        await message.run("main", async (sql) => {
          await sql`insert into receipts (order_id) values (${message.data.orderId})`;
        });
      },
      { name: "receipt" },
    ),
  );

  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}
