/**
 * Orders on Node, in PostgreSQL through Drizzle, with a Redis over TCP:
 * `node examples/node-drizzle/main.ts`, with what is read here in the environment.
 */
import { serve } from "aftercommit/node";
import { qstash } from "aftercommit/qstash";
import { redis } from "aftercommit/redis";
import { Client } from "@upstash/qstash";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import { createClient } from "redis";
import { createApp } from "./app.ts";
import { createTables } from "./schema.ts";

const { env } = process;

const pool = new Pool({ connectionString: env.DATABASE_URL });
// A connection that is lost while nobody uses it would end the process.
pool.on("error", (error) => console.error(error));
const client = createClient({ url: env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(error));
await client.connect();

const db = drizzle({ client: pool });
const { app, ac, createOwnTables } = createApp(db, {
  publicUrl: env.PUBLIC_URL,
  dev: env.NODE_ENV !== "production",
  log: redis(client, { namespace: "orders" }),
  transport: qstash({
    client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN ?? "" }),
    currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
    nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
  }),
  recovery: { deadline: env.RECOVERY_DEADLINE ?? "2m", longestRequest: env.LONGEST_REQUEST ?? "1m" },
  operations: { bearer: env.OPERATOR_TOKEN },
});
await createTables(db);
await createOwnTables();
await ac.verify();

const server = await serve(app, {
  ac,
  port: Number(env.PORT ?? 3000),
  sweepEvery: env.SWEEP_EVERY,
  release: () => Promise.all([pool.end(), client.close()]),
});
console.log(`listening on ${server.port}`);
