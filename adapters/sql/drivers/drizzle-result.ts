import type { SqlResult, SqlStatement } from "../statement.ts";

/** The `sql` of drizzle-orm, by shape. */
export type DrizzleSqlTag = (strings: TemplateStringsArray, ...values: unknown[]) => object;

/** A statement of ours as drizzle takes it. */
export function drizzleQuery(sql: DrizzleSqlTag, { text, values }: SqlStatement): object {
  const strings = text.split("?");
  return sql(Object.assign(strings, { raw: strings }), ...values);
}

type Rows = SqlResult["rows"];

/** What the drivers under drizzle bring for a statement that it does not know. */
interface RawResult {
  readonly rows?: Rows;
  /** D1, of a query. */
  readonly results?: Rows;
  /** node-postgres and Neon; null for what changes no rows. */
  readonly rowCount?: number | null;
  /** PGlite and mysql2. */
  readonly affectedRows?: number;
  /** postgres.js, whose result is an array. */
  readonly count?: number | null;
  /** better-sqlite3. */
  readonly changes?: number;
  /** libSQL. */
  readonly rowsAffected?: number;
  /** D1. */
  readonly meta?: { readonly changes?: number };
}

/** Reads the result of a statement, whichever driver it comes from. */
export function resultOf(result: unknown): SqlResult {
  const raw = isPair(result) ? result[0] : result;
  if (Array.isArray(raw)) return { rows: raw as Rows, changes: (raw as RawResult).count ?? 0 };
  const { rows, results, ...counts } = raw as RawResult;
  return { rows: rows ?? results ?? [], changes: changesOf(counts) };
}

/** mysql2 gives the rows, or a header, and what it knows of the columns. */
function isPair(result: unknown): result is readonly [unknown, unknown] {
  if (!Array.isArray(result)) return false;
  const [first] = result as readonly unknown[];
  return Array.isArray(first) || (typeof first === "object" && first !== null && "affectedRows" in first);
}

function changesOf(counts: RawResult): number {
  const count = counts.rowCount ?? counts.affectedRows ?? counts.changes ?? counts.rowsAffected ?? counts.meta?.changes;
  if (count !== undefined) return count;
  if (counts.rowCount === null) return 0;
  throw new TypeError("Expected a driver that tells how many rows a statement has changed, found one that does not.");
}
