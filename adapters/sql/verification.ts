import type { Dialect } from "./dialect.ts";
import { sql } from "./statement.ts";
import type { SqlStatement } from "./statement.ts";

const NO_ROW: readonly (readonly [table: string, columns: string, key: string])[] = [
  [
    "aftercommit_barrier",
    "transaction_id, kind, verdict, source, messages, created, due, attempts, results, dead, version, claim, settled",
    "transaction_id",
  ],
  ["aftercommit_inbox", "consumer, message_id, kind, token, outcome, expires", "consumer"],
];

/** Statements that change nothing, and that only a database which is ready lets through. */
export function verification(dialect: Dialect): readonly SqlStatement[] {
  const harmless = NO_ROW.flatMap(([table, columns, key]) => [
    sql(`SELECT ${columns} FROM ${table} WHERE ${key} = ''`),
    sql(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${table} WHERE ${key} = ''`),
    sql(`UPDATE ${table} SET kind = kind WHERE ${key} = ''`),
    sql(`DELETE FROM ${table} WHERE ${key} = ''`),
  ]);
  return [...(dialect.askReplica === undefined ? [] : [sql(dialect.askReplica)]), ...harmless];
}
