/** The contract of a database, for the clients of PostgreSQL on Deno: for `deno test`, with the server in DATABASE_URL. */
import process from "node:process";
import { nodePostgres, postgresJs } from "aftercommit/sql";
import { databaseContract } from "aftercommit/testing";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import postgres from "postgres";
import { INSERT_TEXT, preparePostgres } from "../../support/postgres-under-test.ts";

/** What is used of Deno: its own types would not go with those of Node in every other test. */
interface DenoTests {
  test(options: {
    readonly name: string;
    readonly sanitizeOps: boolean;
    readonly sanitizeResources: boolean;
    readonly fn: () => Promise<void>;
  }): void;
}
const { Deno } = globalThis as unknown as { readonly Deno: DenoTests };

const server = new URL(process.env["DATABASE_URL"] ?? "");
let databases = 0;

async function createDatabase(): Promise<string> {
  const name = `deno_${++databases}`;
  const sql = postgres(server.href, { max: 1 });
  await sql.unsafe(`CREATE DATABASE ${name}`);
  await sql.end();
  return new URL(`/${name}`, server).href;
}

/** The tests share nothing but the process, whose connections outlive a test. */
const runner = (client: string) => ({
  test: (name: string, fn: () => Promise<void>) =>
    Deno.test({ name: `${client}: ${name}`, sanitizeOps: false, sanitizeResources: false, fn }),
});

databaseContract<postgres.TransactionSql, never>(runner("postgres"), async () => {
  const url = await createDatabase();
  // As for a pooler.
  const open = () => postgres(url, { prepare: false, onnotice: () => undefined });
  const [first, second] = [open(), open()];
  const database = postgresJs(first);
  return {
    ...(await preparePostgres(database, (text, values) => second.unsafe(text, values))),
    database,
    other: postgresJs(second),
    concurrent: true,
    insert: async (sql, text) => void (await sql.unsafe(INSERT_TEXT, [text])),
    dispose: async () => void (await Promise.all([first.end(), second.end()])),
  };
});

databaseContract<PoolClient, never>(runner("pg"), async () => {
  const connectionString = await createDatabase();
  const [first, second] = [new Pool({ connectionString }), new Pool({ connectionString })];
  const database = nodePostgres(first);
  return {
    ...(await preparePostgres(database, async (text, values) => (await second.query(text, values)).rows)),
    database,
    other: nodePostgres(second),
    concurrent: true,
    insert: async (sql, text) => void (await sql.query(INSERT_TEXT, [text])),
    dispose: async () => void (await Promise.all([first.end(), second.end()])),
  };
});
