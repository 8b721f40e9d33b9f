/**
 * Orders on Bun, in a SQLite file, and without any Redis: `bun examples/bun-sqlite/main.ts`, with what is read here in
 * the environment.
 */
import { Database } from "bun:sqlite";
import { serve } from "aftercommit/bun";
import { qstash } from "aftercommit/qstash";
import { Client } from "@upstash/qstash";
import { createApp } from "./app.ts";

const { env } = process;

const db = new Database(env.DATABASE_FILE ?? "orders.sqlite");
db.exec("pragma journal_mode = wal; pragma busy_timeout = 2000");

const { app, ac } = await createApp(db, {
  publicUrl: env.PUBLIC_URL,
  dev: env.NODE_ENV !== "production",
  transport: qstash({
    client: new Client({ baseUrl: env.QSTASH_URL ?? "https://qstash.upstash.io", token: env.QSTASH_TOKEN ?? "" }),
    currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
    nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
  }),
  recovery: { deadline: env.RECOVERY_DEADLINE ?? "2m", longestRequest: env.LONGEST_REQUEST ?? "1m" },
  operations: { bearer: env.OPERATOR_TOKEN },
});

const server = await serve(app, {
  ac,
  port: Number(env.PORT ?? 3000),
  sweepEvery: env.SWEEP_EVERY,
  release: () => db.close(),
});
console.log(`listening on ${server.port}`);
