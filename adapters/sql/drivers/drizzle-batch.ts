import { sqlDatabase } from "../database.ts";
import type { BatchDatabase } from "../database.ts";
import { dialectOf } from "../schema.ts";
import { numbered } from "../statement.ts";
import type { SqlStatement } from "../statement.ts";
import { resultOf } from "./drizzle-result.ts";

/** What is used of a drizzle-orm database that has batches, by shape. */
export interface DrizzleBatchLike {
  /** Runs statements as one transaction. */
  batch(queries: never): PromiseLike<readonly unknown[]>;
}

/** A query of drizzle, not awaited, as its batches take it. */
export type DrizzleBatchItem<Db extends DrizzleBatchLike> = Parameters<Db["batch"]>[0] extends readonly (infer Item)[]
  ? Item
  : never;

/** What drizzle does not tell of itself. */
export interface DrizzleBatchOptions {
  /** What the database speaks: `"sqlite"` for D1 (and libSQL), `"postgresql"` for Neon over HTTP. */
  readonly dialect: "sqlite" | "postgresql";
}

/**
 * A database without transactions that stay open, through drizzle-orm: D1, or Neon over HTTP. Give the queries of a
 * transaction to `tx.batch`, without awaiting them.
 *
 * @example
 * ```ts
 * const db = drizzle(env.DB, { schema });
 * const ac = aftercommit({ databases: { main: drizzleBatch(db, { dialect: "sqlite" }) } });
 * // in a handler
 * await tx.batch("main", [db.insert(orders).values({ id, cents })]);
 * ```
 */
export function drizzleBatch<Db extends DrizzleBatchLike>(
  db: Db,
  { dialect }: DrizzleBatchOptions,
): BatchDatabase<DrizzleBatchItem<Db>, readonly unknown[]> {
  const session = db as unknown as Session;
  const itemOf = (statement: SqlStatement): object => batchItem(session.$client, dialect, statement);
  const database = sqlDatabase<never, unknown, readonly unknown[]>({
    dialect: dialectOf(dialect),
    async transact(statements) {
      return (await session.batch(statements.map(itemOf))).map(resultOf);
    },
    async batch(before, statements, after) {
      const results = await session.batch([...before.map(itemOf), ...statements, ...after.map(itemOf)]);
      return results.slice(before.length, before.length + statements.length);
    },
    ...(isD1(session.$client) && { maxRowBytes: MAX_D1_ROW_BYTES }),
  });
  return database as unknown as BatchDatabase<DrizzleBatchItem<Db>, readonly unknown[]>;
}

/** D1 refuses rows of more than 2 MB; what is left over is for the other columns and the results. */
const MAX_D1_ROW_BYTES = 1_600_000;

interface Session {
  readonly $client: unknown;
  batch(queries: readonly unknown[]): Promise<readonly unknown[]>;
}

interface D1Like {
  prepare(text: string): object;
}

function isD1(client: unknown): client is D1Like {
  return typeof client === "object" && client !== null && "prepare" in client;
}

/**
 * A statement of ours in the shape in which drizzle's batches take queries. Drizzle's own raw statements are not for
 * batches: those for D1 lose their values.
 */
function batchItem(client: unknown, dialect: DrizzleBatchOptions["dialect"], { text, values }: SqlStatement): object {
  const sql = dialect === "postgresql" ? numbered(text) : text;
  const prepared = {
    getQuery: () => ({ sql, params: [...values] }),
    // D1 asks the statement, where there are values; others take the text.
    stmt: isD1(client) ? client.prepare(sql) : undefined,
    isResponseInArrayMode: () => false,
    mapResult: (result: unknown) => result,
  };
  return { _prepare: () => prepared };
}
