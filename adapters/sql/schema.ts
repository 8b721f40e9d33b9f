import { mysql } from "./dialects/mysql.ts";
import { postgresql } from "./dialects/postgresql.ts";
import { sqlite } from "./dialects/sqlite.ts";
import type { Dialect } from "./dialect.ts";

const DIALECTS: Readonly<Record<Dialect["name"], Dialect>> = { postgresql, sqlite, mysql };

/** The dialect of a name. */
export function dialectOf(name: Dialect["name"]): Dialect {
  return DIALECTS[name];
}

/** The statements that make our tables where they are not there yet, as one text for a migration. */
export function schemaOf(name: Dialect["name"]): string {
  return dialectOf(name)
    .tables.map((statement) => `${statement};\n`)
    .join("\n");
}

/** The statement that lets an application use them, for databases that have users. */
export function grantsOf(name: Dialect["name"]): string | undefined {
  return dialectOf(name).grants;
}
