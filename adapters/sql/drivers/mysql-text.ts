import { toHex, utf8 } from "../../../src/model/bytes.ts";
import type { SqlStatement, SqlValue } from "../statement.ts";

/**
 * A statement with its values in it, which reads the same under every sql_mode and in every character set of a connection:
 * what is not plain letters goes as bytes. Prepared statements would do it too, but a server has only so many of them,
 * for all of its connections.
 */
export function mysqlText({ text, values }: SqlStatement): string {
  let at = 0;
  return text.replaceAll("?", () => literal(values[at++]!));
}

function literal(value: SqlValue): string {
  if (value === null) return "NULL";
  if (typeof value === "string") return /^[\w.-]*$/.test(value) ? `'${value}'` : `X'${toHex(utf8(value))}'`;
  if (Number.isFinite(value)) return String(value);
  throw new TypeError(`Expected a finite number as a value, found ${value}.`);
}
