import { Client, Pool } from "pg";
import type { PoolClient } from "pg";
import { afterAll, describe, test } from "vitest";
import { nodePostgres } from "../../adapters/sql/index.ts";
import { databaseContract } from "../../src/testing/index.ts";
import { startPostgresServer } from "../support/postgres-server.ts";
import { INSERT_TEXT, preparePostgres } from "../support/postgres-under-test.ts";

const server = await startPostgresServer();
afterAll(() => server?.stop());

describe.skipIf(server === undefined)("PostgreSQL through a Pool of pg", () => {
  databaseContract<PoolClient, never>({ test }, async () => {
    const connectionString = await server!.createDatabase();
    const [first, second] = [new Pool({ connectionString }), new Pool({ connectionString })];
    const database = nodePostgres(first);
    return {
      ...(await preparePostgres(database, async (text, values) => (await second.query(text, values)).rows)),
      database,
      other: nodePostgres(second),
      concurrent: true,
      insert: async (sql, text) => void (await sql.query(INSERT_TEXT, [text])),
      dispose: async () => {
        await Promise.all([first.end(), second.end()]);
      },
    };
  });
});

describe.skipIf(server === undefined)("PostgreSQL through a Client of pg", () => {
  databaseContract<Client, never>({ test }, async () => {
    const connectionString = await server!.createDatabase();
    const clients = [1, 2, 3].map(() => new Client({ connectionString }));
    const [first, second, third] = clients as [Client, Client, Client];
    for (const client of clients) await client.connect();
    const database = nodePostgres(first);
    return {
      ...(await preparePostgres(database, async (text, values) => (await third.query(text, values)).rows)),
      database,
      other: nodePostgres(second),
      insert: async (sql, text) => void (await sql.query(INSERT_TEXT, [text])),
      dispose: async () => {
        for (const client of clients) await client.end();
      },
    };
  });
});
