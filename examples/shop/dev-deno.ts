/**
 * The shop on Deno with an embedded QStash and Redis, for development: no account, no server, no configuration.
 */
import process from "node:process";
import { startDevServer } from "aftercommit/dev";

const dev = await startDevServer();
Object.assign(process.env, {
  SHOP_DEV: "true",
  UPSTASH_REDIS_REST_URL: dev.redis.url,
  UPSTASH_REDIS_REST_TOKEN: dev.redis.token,
  QSTASH_URL: dev.qstash.url,
  QSTASH_TOKEN: dev.qstash.token,
  QSTASH_CURRENT_SIGNING_KEY: dev.qstash.currentSigningKey,
  QSTASH_NEXT_SIGNING_KEY: dev.qstash.nextSigningKey,
});
console.log(`QStash ${dev.qstash.url}, Redis ${dev.redis.url}: embedded, and empty at each start`);
// Only now, as the shop reads its environment while it loads; and by its address, as only Deno knows the types in there.
await import(new URL("deno.ts", import.meta.url).href);
