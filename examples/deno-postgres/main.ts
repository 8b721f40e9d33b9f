/**
 * Orders on Deno and Deno Deploy, in a PostgreSQL such as Neon's:
 * `deno run -A --unstable-cron examples/deno-postgres/main.ts`, with `DATABASE_URL` and what app.ts names in the
 * environment, and the tables made by migrate.ts.
 */
import process from "node:process";
import { cron, serve } from "aftercommit/deno";
import { createApp } from "./app.ts";
import { connect } from "./database.ts";

const { env } = process;
const db = connect(env.DATABASE_URL);
const { app, ac } = createApp(db);

// At the top level, and before the server: Deno Deploy looks for it here.
cron(ac);

const server = await serve(app, {
  ac,
  port: Number(env.PORT ?? 3000),
  sweepEvery: env.SWEEP_EVERY,
  release: () => db.end(),
});
console.log(`listening on ${server.port}`);
