import type { AftercommitOptions } from "aftercommit";
import { createRedisEngine } from "../../../adapters/dev/redis/index.ts";
import type { RedisEngine } from "../../../adapters/dev/redis/index.ts";
import type { RedisExecutor } from "../../../adapters/redis/index.ts";
import { pull, redisStreams } from "../../../adapters/redis-streams/index.ts";
import type { Puller, PullOptions } from "../../../adapters/redis-streams/index.ts";
import { orderPaid, PUBLIC_URL, seatFreed, world } from "../../support/world.ts";
import type { ServiceUnderTest, World } from "../../support/world.ts";
import { backendExecutor } from "../../support/upstash-endpoint.ts";

export { orderPaid, PUBLIC_URL, seatFreed };

/** Where orders go. */
export const RECEIPT = "stream:orders/receipt";
/** Their keys. */
export const KEYS = {
  stream: "{aftercommit:stream:orders}:receipt",
  places: "{aftercommit:stream:orders}:receipt:places",
  later: "{aftercommit:stream:orders}:receipt:later",
};

/** What goes wrong with the next commands that it is meant for. */
export interface Fault {
  readonly when: (command: readonly string[]) => boolean;
  /** Whether Redis does it all the same. */
  readonly applied: boolean;
}

/** A service that publishes into a stream, and workers that fetch from it, on a Redis whose clock a test moves. */
export interface StreamWorld extends World {
  readonly engine: RedisEngine;
  /** What streams run on: faults are put into it. */
  readonly redis: RedisExecutor;
  /** Commands as they were sent. */
  readonly commands: (readonly string[])[];
  /** Lets the next command go wrong that it is meant for. */
  fail(fault: Fault): void;
  readonly service: (overrides?: Partial<AftercommitOptions>) => ServiceUnderTest;
  /** Publishes an order at level `marked`, and waits for what goes on after the response. */
  order(service: ServiceUnderTest, orderId?: string): Promise<string>;
  /** A worker. */
  worker(service: ServiceUnderTest, options?: Partial<PullOptions>): Puller;
  /** Fetches until nothing is left, letting time pass for what waits. */
  pullAll(puller: Puller): Promise<void>;
}

export function streamWorld(): StreamWorld {
  const base = world();
  const engine = createRedisEngine({ now: () => base.clock.now() });
  const backend = backendExecutor(engine);
  const faults: Fault[] = [];
  const commands: (readonly string[])[] = [];
  const redis: RedisExecutor = {
    async execute(command) {
      commands.push(command);
      const fault = faults.find(({ when }) => when(command));
      if (fault === undefined) return backend.execute(command);
      faults.splice(faults.indexOf(fault), 1);
      if (fault.applied) await backend.execute(command);
      throw new Error("Redis is out of reach");
    },
  };
  const transport = redisStreams(redis, { channels: ["orders"], clock: base.clock });
  let workers = 0;
  return {
    ...base,
    engine,
    redis,
    commands,
    fail: (fault) => void faults.push(fault),
    service(overrides) {
      const made = base.service({ transport, routes: { [orderPaid.name]: RECEIPT }, ...overrides });
      made.app.post("/orders", made.ac.transaction(), async (c) => {
        const { id } = await c.var.tx.publish(orderPaid, { orderId: await c.req.text() });
        return c.text(id);
      });
      return made;
    },
    async order({ app, ac }, orderId = "o-1") {
      const response = await app.request(`${PUBLIC_URL}/orders`, { method: "POST", body: orderId });
      await ac.drain();
      return response.text();
    },
    worker: ({ ac }, options) =>
      pull(ac, redis, { from: RECEIPT, worker: `worker-${++workers}`, clock: base.clock, ...options }),
    async pullAll(puller) {
      for (let rounds = 0; rounds < 500; rounds++) {
        const { taken } = await puller.pull();
        const { ready, later } = await puller.backlog();
        if (ready + later === 0) return;
        if (taken === 0) await base.clock.advance(10_000);
      }
      throw new Error("expected the stream to run empty");
    },
  };
}

/** Scripts are told by what only they do. */
export const isPublish = ([name, script = ""]: readonly string[]): boolean =>
  name === "EVAL" && script.includes("HMGET") && script.includes("XRANGE");
/** Whether a command puts an entry back. */
export const isPutBack = ([name, script = ""]: readonly string[]): boolean =>
  name === "EVAL" && script.includes("XPENDING") && script.includes("ZADD");
/** Whether a command acknowledges. */
export const isFinish = ([name, script = ""]: readonly string[]): boolean =>
  name === "EVAL" && script.includes("XACK") && script.includes("HDEL");
/** Whether a command fetches what is new. */
export const isRead = ([name]: readonly string[]): boolean => name === "XREADGROUP";
