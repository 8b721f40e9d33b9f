import { Pool } from "pg";
import type { PoolClient } from "pg";

/** A query as Neon's HTTP protocol has it. */
interface NeonQuery {
  readonly query: string;
  readonly params: string[];
}

const LEVELS: Readonly<Record<string, string>> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};
/** Values travel as PostgreSQL wrote them; the client parses. */
const RAW = { getTypeParser: () => (value: string) => value };
const ERROR_FIELDS = [
  "message",
  "severity",
  "code",
  "detail",
  "hint",
  "schema",
  "table",
  "column",
  "constraint",
] as const;

/**
 * Answers as Neon's endpoint for SQL over HTTP does, out of the PostgreSQL that the request's connection string names:
 * the nearest thing to Neon that a test can reach. For `neonConfig.fetchFunction`.
 */
export async function neonFetch(_endpoint: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  const connectionString = headers.get("neon-connection-string")!;
  const body = JSON.parse(init.body as string) as NeonQuery | { readonly queries: readonly NeonQuery[] };
  const client = await poolOf(connectionString).connect();
  let failed = true;
  try {
    const answers =
      "queries" in body ? { results: await batch(client, body.queries, headers) } : await answer(client, body);
    failed = false;
    return Response.json(answers);
  } catch (error) {
    const fields = error as Record<string, unknown>;
    const told = Object.fromEntries(ERROR_FIELDS.map((name) => [name, fields[name] ?? null]));
    return Response.json(told, { status: 400 });
  } finally {
    client.release(failed);
  }
}

const pools = new Map<string, Pool>();

/** Connections are kept for a moment: a test makes many requests of one database. */
function poolOf(connectionString: string): Pool {
  const found = pools.get(connectionString);
  if (found !== undefined) return found;
  const pool = new Pool({ connectionString, idleTimeoutMillis: 200, allowExitOnIdle: true });
  pool.on("error", () => undefined);
  pools.set(connectionString, pool);
  return pool;
}

async function batch(client: PoolClient, queries: readonly NeonQuery[], headers: Headers): Promise<unknown[]> {
  await client.query(`BEGIN ${modes(headers)}`);
  const results = [];
  for (const query of queries) results.push(await answer(client, query));
  await client.query("COMMIT");
  return results;
}

function modes(headers: Headers): string {
  const level = headers.get("neon-batch-isolation-level");
  const readOnly = headers.get("neon-batch-read-only");
  return [
    ...(level === null ? [] : [`ISOLATION LEVEL ${LEVELS[level]}`]),
    ...(readOnly === null ? [] : [readOnly === "true" ? "READ ONLY" : "READ WRITE"]),
  ].join(", ");
}

async function answer(client: PoolClient, { query, params }: NeonQuery): Promise<unknown> {
  const result = await client.query({ text: query, values: params, rowMode: "array", types: RAW });
  const fields = result.fields.map(({ name, dataTypeID }) => ({ name, dataTypeID }));
  return { command: result.command, rowCount: result.rowCount, rows: result.rows, fields, rowAsArray: true };
}
