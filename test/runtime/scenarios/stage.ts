import type { Redis } from "@upstash/redis/cloudflare";
import type { Aftercommit } from "aftercommit";
import { CONSUMER, redisOf } from "./service.ts";
import type { Delivery, ScenarioEnv } from "./service.ts";

/** What a case has to work with, within the runtime that is tried. */
export interface Stage {
  readonly env: ScenarioEnv;
  readonly ac: Aftercommit<ScenarioEnv>;
  readonly redis: Redis;
  /** Tells the orders of this run of this case from all others. */
  readonly key: string;
  /** Makes an order over HTTP: `placed`, `refused`, or one that `throws`. */
  order(how: "placed" | "refused" | "throws", options?: object, headers?: Record<string, string>): Promise<Response>;
  /** Makes the request again whose key names it: the status, the body, and the header that says that it was answered before. */
  keyedOrder(
    options?: object,
  ): Promise<readonly [status: number, body: string, order: string | null, replayed: string | null]>;
  /** How often the consumer ran for a key, how often its effect happened, how often a handler ran. */
  count(what: "runs" | "effects" | "requests", key?: string): Promise<number>;
  /** The last delivery for the key, as QStash made it. */
  delivered(): Promise<Delivery>;
  /** Makes a delivery: the status of the answer. */
  deliver(delivery: Delivery): Promise<number>;
}

/** What a case expects, in words. */
export function expect(what: string, found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`Expected ${what} to be ${right}, found ${left}.`);
}

const PATIENCE_MILLIS = 15_000;
const LOOK_EVERY_MILLIS = 25;

/** Tries until it succeeds; what it throws last, once patience is over. */
export async function eventually(attempt: () => Promise<void>): Promise<void> {
  const until = Date.now() + PATIENCE_MILLIS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MILLIS));
  }
}

/** Sets the stage of one run of a case. */
export function newStage(env: ScenarioEnv, ac: Aftercommit<ScenarioEnv>): Stage {
  const redis = redisOf(env);
  const key = crypto.randomUUID();
  return {
    env,
    ac,
    redis,
    key,
    order: (how, options = {}, headers = {}) =>
      fetch(`${env.PUBLIC_URL}/orders/${how}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ key, ...options }),
      }),
    async keyedOrder(options = {}) {
      const response = await fetch(`${env.PUBLIC_URL}/keyed/placed`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": `"${key}"` },
        body: JSON.stringify({ key, ...options }),
      });
      const { status, headers } = response;
      return [status, await response.text(), headers.get("x-order"), headers.get("idempotency-replayed")];
    },
    count: async (what, of = key) => Number((await redis.get(`${what}:${of}`)) ?? 0),
    async delivered() {
      const found = await redis.get<Delivery>(`delivery:${key}`);
      if (found === null) throw new Error("Expected a delivery, found none.");
      return found;
    },
    async deliver({ headers, body }) {
      const sent = headers.filter(([name]) => name !== "host" && name !== "content-length" && name !== "connection");
      const response = await fetch(env.PUBLIC_URL + CONSUMER, {
        method: "POST",
        headers: sent.map(([name, value]): [string, string] => [name, value]),
        body,
      });
      await response.body?.cancel();
      return response.status;
    },
  };
}
