/** What a statement of ours may be given. */
export type SqlValue = string | number | null;

/** A statement with `?` for each of its values; a driver that counts them gets them counted. */
export interface SqlStatement {
  /** The text. */
  readonly text: string;
  /** What stands for its `?`, in order. */
  readonly values: readonly SqlValue[];
}

/** What a statement brought. */
export interface SqlResult {
  /** The rows of a query, by column. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** How many rows it inserted, updated or deleted. */
  readonly changes: number;
}

/** Runs a statement within an open transaction. */
export type Execute = (statement: SqlStatement) => Promise<SqlResult>;

/** A statement and its values. */
export function sql(text: string, ...values: readonly SqlValue[]): SqlStatement {
  return { text: text.replace(/\s+/g, " ").trim(), values };
}

/** So many placeholders, for a list. */
export function places(count: number): string {
  return Array.from({ length: count }, () => "?").join(", ");
}

/** The text with `$1`, `$2`, … in place of `?`. Our statements have no `?` elsewhere. */
export function numbered(text: string): string {
  let count = 0;
  return text.replaceAll("?", () => `$${++count}`);
}
