/**
 * The shop as a Cloudflare Worker: orders in D1, everything else in its bindings, and a Cron Trigger that sweeps.
 */
import { qstash } from "aftercommit/qstash";
import type { D1Like } from "aftercommit/sql";
import { upstashRedis } from "aftercommit/upstash-redis";
import { Client } from "@upstash/qstash";
import { Redis } from "@upstash/redis/cloudflare";
import type { ExecutionContext } from "hono";
import { d1Orders } from "./d1-orders.ts";
import { createShop } from "./shop.ts";
import type { Shop } from "./shop.ts";

/** The Worker's variables, secrets and bindings. */
export interface ShopBindings {
  readonly DB: D1Like;
  readonly PUBLIC_URL: string;
  readonly UPSTASH_REDIS_REST_URL: string;
  readonly UPSTASH_REDIS_REST_TOKEN: string;
  /** Where QStash is, if it is not in its default region. */
  readonly QSTASH_URL?: string;
  readonly QSTASH_TOKEN: string;
  readonly QSTASH_CURRENT_SIGNING_KEY: string;
  readonly QSTASH_NEXT_SIGNING_KEY: string;
  readonly SHOP_OPERATOR_TOKEN?: string;
  /** "true" on a developer's machine. */
  readonly SHOP_DEV?: string;
}

let shop: Shop | undefined;

/** A Worker has its bindings with its first request and not before: the shop is made of them then, once per isolate. */
function shopOf(env: ShopBindings): Shop {
  shop ??= createShop({
    orders: d1Orders(env.DB),
    boot: crypto.randomUUID(),
    infrastructure: {
      publicUrl: env.PUBLIC_URL,
      dev: env.SHOP_DEV === "true",
      log: upstashRedis(new Redis({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN }), {
        namespace: "shop",
      }),
      transport: qstash({
        client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN }),
        currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
        nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
      }),
      operations: { bearer: env.SHOP_OPERATOR_TOKEN },
    },
  });
  return shop;
}

export default {
  fetch(request: Request, env: ShopBindings, context: ExecutionContext): Response | Promise<Response> {
    return shopOf(env).app.fetch(request, env, context);
  },
  scheduled(event: unknown, env: ShopBindings, context: ExecutionContext): Promise<void> {
    return shopOf(env).ac.scheduled(event, env, context);
  },
};
