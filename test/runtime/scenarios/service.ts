import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis/cloudflare";
import { aftercommit, FatalError, topic } from "aftercommit";
import type { Aftercommit, AftercommitEnv, Transport } from "aftercommit";
import { idempotencyKey } from "aftercommit/idempotency";
import { qstash } from "aftercommit/qstash";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Hono } from "hono";
import type { Context } from "hono";
import * as z from "zod/mini";

/** What a service of the scenarios is told: text alone, as bindings or as the environment of a process. */
export interface ScenarioEnv {
  readonly PUBLIC_URL: string;
  readonly UPSTASH_REDIS_REST_URL: string;
  readonly UPSTASH_REDIS_REST_TOKEN: string;
  readonly QSTASH_URL: string;
  readonly QSTASH_TOKEN: string;
  readonly QSTASH_CURRENT_SIGNING_KEY: string;
  readonly QSTASH_NEXT_SIGNING_KEY: string;
}

/** What one order's message asks of its consumer, and of the way there. */
export const task = topic(
  "task",
  z.object({
    key: z.string(),
    /** So many runs of the consumer fail. */
    fails: z._default(z.number(), 0),
    /** No run can succeed, until somebody heals it. */
    poison: z._default(z.boolean(), false),
    /** The first call of the transport with it fails. */
    losePublish: z._default(z.boolean(), false),
  }),
);

/** The path of the consumer. */
export const CONSUMER = "/consumers/task";

/** A Redis beside the library's own: where the cases see what has happened. */
export function redisOf(env: ScenarioEnv): Redis {
  return new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN });
}

/** A service, and the app that serves it. */
export interface Service {
  readonly app: Hono<AftercommitEnv<ScenarioEnv>>;
  readonly ac: Aftercommit<ScenarioEnv>;
}

/** The service that every runtime runs: an order at level `marked`, and a consumer that does what the order says. */
export function createService(): Service {
  const lost = new Set<string>();
  const ac = aftercommit<ScenarioEnv>((env) => ({
    publicUrl: env.PUBLIC_URL,
    dev: true,
    log: upstashRedis(redisOf(env)),
    transport: losing(
      lost,
      qstash({
        client: new Client({ baseUrl: env.QSTASH_URL, token: env.QSTASH_TOKEN }),
        currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
        nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
      }),
    ),
    routes: { [task.name]: [CONSUMER] },
    recovery: { longestRequest: 1, deadline: 2 },
  }));
  const app = new Hono<AftercommitEnv<ScenarioEnv>>();

  const order = async (c: Context<AftercommitEnv<ScenarioEnv>>, how: string): Promise<Response> => {
    const { key, ...options } = await c.req.json<{ readonly key: string }>();
    const { id } = await c.var.tx.publish(task, { key, ...options });
    await redisOf(c.env).incr(`requests:${key}`);
    if (how === "throws") throw new Error("after the publish");
    return c.json({ id }, how === "refused" ? 422 : 201, { "x-order": key });
  };
  app.post("/orders/:how", ac.transaction(), (c) => order(c, c.req.param("how")));
  app.post("/keyed/:how", idempotencyKey(ac, { scope: () => "caller", required: true }), (c) =>
    order(c, c.req.param("how")),
  );

  app.post(CONSUMER, async (c, next) => {
    // The delivery as it came, so that a case can send it again.
    const body = await c.req.raw.clone().text();
    const { data } = JSON.parse(body) as { readonly data: { readonly key: string } };
    const delivery: Delivery = { headers: [...c.req.raw.headers], body };
    await redisOf(c.env).set(`delivery:${data.key}`, JSON.stringify(delivery));
    await next();
  });
  app.post(
    CONSUMER,
    ac.consumer(task, async ({ data }, c) => {
      const redis = redisOf(c.env as ScenarioEnv);
      const run = await redis.incr(`runs:${data.key}`);
      if (data.poison && (await redis.get(`healed:${data.key}`)) === null) throw new FatalError("no antidote");
      if (run <= data.fails) throw new Error(`run ${run} fails`);
      await redis.incr(`effects:${data.key}`);
    }),
  );
  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}

/** A delivery as QStash made it. */
export interface Delivery {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** A transport that now and then is out of reach. */
function losing(lost: Set<string>, transport: Transport): Transport {
  return {
    ...transport,
    async publish(dispatches) {
      for (const { record, body } of dispatches) {
        if (!body.includes('"losePublish":true') || lost.has(record.key)) continue;
        lost.add(record.key);
        throw new Error("the transport is out of reach");
      }
      return transport.publish(dispatches);
    },
  };
}
