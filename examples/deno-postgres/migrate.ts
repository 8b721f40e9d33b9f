/** Makes the tables, the app's and ours: `deno run -A examples/deno-postgres/migrate.ts`, with `DATABASE_URL`. */
import process from "node:process";
import { postgresJs } from "aftercommit/sql";
import { connect } from "./database.ts";

const db = connect(process.env.DATABASE_URL);
await db`create table if not exists orders (id text primary key, item text not null, cents integer not null)`;
await db`create table if not exists receipts (order_id text not null)`;
await postgresJs(db).createTables();
await db.end();
console.log("the tables are there");
