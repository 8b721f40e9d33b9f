import type { Dialect } from "./dialect.ts";
import { sql } from "./statement.ts";
import type { SqlStatement } from "./statement.ts";

/** The first rows of a table that meet a condition, but for those that another transaction has locked. */
export interface Picked {
  readonly table: string;
  /** The index that has them in order. */
  readonly index: string;
  /** The columns by which the rows are known. */
  readonly key: readonly string[];
  readonly where: SqlStatement;
  readonly orderBy: string;
  readonly limit: number;
}

/** Changes picked rows. */
export function updatePicked(dialect: Dialect, picked: Picked, set: SqlStatement): SqlStatement {
  const { table, where } = picked;
  if (dialect.joinsPicked) {
    return sql(`UPDATE ${joined(dialect, picked)} SET ${set.text}`, ...where.values, ...set.values);
  }
  // The condition twice: a row that another sweeper has changed meanwhile does not meet it any more.
  return sql(
    `${withPicked(dialect, picked)} UPDATE ${table} SET ${set.text} WHERE ${where.text} AND ${isPicked(picked)}`,
    ...where.values,
    ...set.values,
    ...where.values,
  );
}

/** Deletes all rows that have a key of the picked ones. */
export function deletePicked(dialect: Dialect, picked: Picked): SqlStatement {
  const { table, where } = picked;
  const text = dialect.joinsPicked
    ? `DELETE ${table} FROM ${joined(dialect, picked)}`
    : `${withPicked(dialect, picked)} DELETE FROM ${table} WHERE ${isPicked(picked)}`;
  return sql(text, ...where.values);
}

/** Once: a subquery may be run again for each row, and then it picks, and locks, more than its limit. */
function withPicked(dialect: Dialect, picked: Picked): string {
  return `WITH picked AS MATERIALIZED (${query(dialect, picked, picked.key.join(", "))})`;
}

function isPicked(picked: Picked): string {
  const key = picked.key.join(", ");
  const columns = picked.key.length === 1 ? key : `(${key})`;
  return `${columns} IN (SELECT ${key} FROM picked)`;
}

/** The picked rows first, then each by its key: no row but these is looked at, and so none is waited for. */
function joined(dialect: Dialect, picked: Picked): string {
  const { table, key } = picked;
  const columns = key.map((column) => `${column} AS picked_${column}`).join(", ");
  const match = key.map((column) => `${column} = picked_${column}`).join(" AND ");
  return `(${query(dialect, picked, columns)}) AS picked STRAIGHT_JOIN ${table} ON ${match}`;
}

function query(dialect: Dialect, { table, index, where, orderBy, limit }: Picked, columns: string): string {
  // Whatever is scanned is locked.
  const scanned = dialect.joinsPicked ? `${table} FORCE INDEX (${index})` : table;
  const most = Math.trunc(limit);
  return `SELECT ${columns} FROM ${scanned} WHERE ${where.text} ORDER BY ${orderBy} LIMIT ${most} ${dialect.skipLocked}`;
}
