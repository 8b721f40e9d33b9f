import { neonConfig, Pool as NeonPool } from "@neondatabase/serverless";
import { Client, Pool } from "pg";
import type { PoolClient } from "pg";
import postgres from "postgres";
import { nodePostgres, postgresJs } from "../../adapters/sql/index.ts";
import type { InteractiveDatabase } from "../../adapters/sql/index.ts";
import { TcpWebSocket } from "./tcp-web-socket.ts";

/** A database through some client, for tests that do not care which. */
export interface OpenDatabase {
  readonly database: InteractiveDatabase<unknown>;
  /** Runs a statement on the handle of a transaction. */
  query(sql: unknown, text: string): PromiseLike<unknown>;
  end(): Promise<unknown>;
}

/** The clients for PostgreSQL that keep transactions open, by name. */
export const POSTGRES_CLIENTS: Readonly<Record<string, (url: string) => Promise<OpenDatabase>>> = {
  "a Pool of pg": async (connectionString) => {
    const pool = new Pool({ connectionString });
    // A connection of the pool that is lost while nobody uses it is the user's to hear of.
    pool.on("error", () => undefined);
    return {
      database: nodePostgres(pool),
      query: (sql, text) => (sql as PoolClient).query(text),
      end: () => pool.end(),
    };
  },
  "a Client of pg": async (connectionString) => {
    const client = new Client({ connectionString });
    await client.connect();
    return {
      database: nodePostgres(client),
      query: (sql, text) => (sql as Client).query(text),
      end: () => client.end(),
    };
  },
  "a Pool of @neondatabase/serverless": async (connectionString) => {
    neonConfig.webSocketConstructor = TcpWebSocket as never;
    neonConfig.wsProxy = (host, port) => `${host}:${port}`;
    neonConfig.useSecureWebSocket = false;
    neonConfig.pipelineConnect = false;
    const pool = new NeonPool({ connectionString });
    pool.on("error", () => undefined);
    return {
      database: nodePostgres(pool),
      query: (sql, text) => (sql as PoolClient).query(text),
      end: () => pool.end(),
    };
  },
  postgres: async (url) => {
    const sql = postgres(url, { onnotice: () => undefined });
    return {
      database: postgresJs(sql),
      query: (transaction, text) => (transaction as postgres.TransactionSql).unsafe(text),
      end: () => sql.end({ timeout: 0 }),
    };
  },
};
