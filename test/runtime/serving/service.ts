import { aftercommit, consoleObserver, topic } from "aftercommit";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import type { AftercommitEnv } from "aftercommit";
import type { ServeOptions } from "aftercommit/node";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis";
import { Hono } from "hono";
import * as z from "zod/mini";

// While the service is started again, deliveries fail: they are soon tried again.
const orderPaid = topic("order.paid", z.object({ orderId: z.string() }), { retries: 20, retryDelay: "500" });

/** A service for the tests of every runtime: what it does next it prints, so that a test can wait for it. */
export function createService(env: Readonly<Record<string, string | undefined>>): {
  readonly app: Hono<AftercommitEnv>;
  readonly options: ServeOptions;
} {
  const url = env["PUBLIC_URL"] ?? "";
  const observer = consoleObserver({ verbose: true });
  const ac = aftercommit({
    publicUrl: url,
    dev: true,
    log: upstashRedis(new Redis({ url: env["UPSTASH_REDIS_REST_URL"], token: env["UPSTASH_REDIS_REST_TOKEN"] })),
    transport: qstash({
      client: new Client({ baseUrl: env["QSTASH_URL"] ?? "", token: env["QSTASH_TOKEN"] ?? "" }),
      currentSigningKey: env["QSTASH_CURRENT_SIGNING_KEY"],
      nextSigningKey: env["QSTASH_NEXT_SIGNING_KEY"],
    }),
    routes: { [orderPaid.name]: ["/consumers/receipt"] },
    observer,
  });

  const app = new Hono<AftercommitEnv>();
  app.post("/orders/:id", ac.transaction(), async (c) => {
    const orderId = c.req.param("id");
    await c.var.tx.publish(orderPaid, { orderId });
    console.log(`handling ${orderId}`);
    if (orderId === "slow") await (await fetch(env["SLOW_URL"] ?? "")).text();
    if (orderId === "hangs") await new Promise(() => undefined);
    return c.json({ orderId }, 201);
  });
  app.post(
    "/consumers/receipt",
    ac.consumer(orderPaid, async (message) => console.log(`consumed ${message.data.orderId}`)),
  );

  let sweeps = 0;
  /** The same, its sweeps slow and printed, and every third of them without success. */
  const watched: ServeOptions["ac"] = {
    drain: () => ac.drain(),
    operator: () => ({
      async sweep(options) {
        const number = ++sweeps;
        console.log(`sweep ${number} begins`);
        try {
          await new Promise((resolve) => setTimeout(resolve, 40));
          if (number % 3 === 0) throw new Error(`sweep ${number} failed`);
          return await ac.operator().sweep(options);
        } finally {
          console.log(`sweep ${number} ends`);
        }
      },
    }),
  };
  return {
    app,
    options: {
      ac: watched,
      port: Number(env["PORT"]),
      hostname: "127.0.0.1",
      sweepEvery: env["SWEEP_EVERY"] ?? false,
      drainWithin: env["DRAIN_WITHIN"],
      release: () => console.log("released"),
      observer,
    },
  };
}
