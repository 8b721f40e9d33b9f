import { is, SQL } from "drizzle-orm";
import { getTableConfig as mysqlConfig, MySqlTable } from "drizzle-orm/mysql-core";
import { getTableConfig as pgConfig, PgDialect, PgTable } from "drizzle-orm/pg-core";
import { getTableConfig as sqliteConfig, SQLiteTable } from "drizzle-orm/sqlite-core";

/** What is used of a column, in every dialect. */
interface Column {
  readonly name: string;
  readonly notNull: boolean;
  readonly default: number | undefined;
  getSQLType(): string;
}

/** What is used of a table's declaration, in every dialect. */
interface TableConfig {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly primaryKeys: readonly { readonly columns: readonly Column[] }[];
  readonly checks: readonly { readonly name: string; readonly value: SQL }[];
  readonly indexes: readonly {
    readonly config: {
      readonly name?: string | undefined;
      readonly columns: readonly (object & { readonly name?: string })[];
      readonly where?: SQL | undefined;
    };
  }[];
}

/** The statements that make a table which is declared for Drizzle, as `drizzle-kit export` writes them. */
export function drizzleDdl(table: unknown): readonly string[] {
  const { name, columns, primaryKeys, checks, indexes } = configOf(table);
  const lines = [
    ...columns.map((column) => {
      const preset = column.default === undefined ? "" : ` DEFAULT ${column.default}`;
      return `${column.name} ${column.getSQLType()}${preset}${column.notNull ? " NOT NULL" : ""}`;
    }),
    ...primaryKeys.map((key) => `PRIMARY KEY (${key.columns.map((column) => column.name).join(", ")})`),
    ...checks.map((check) => `CONSTRAINT ${check.name} CHECK (${textOf(check.value)})`),
  ];
  return [
    `CREATE TABLE ${name} (${lines.join(", ")})`,
    ...indexes.map(({ config }) => {
      const parts = config.columns.map((column) => (is(column, SQL) ? textOf(column) : column.name));
      const where = config.where === undefined ? "" : ` WHERE ${textOf(config.where)}`;
      return `CREATE INDEX ${config.name} ON ${name} (${parts.join(", ")})${where}`;
    }),
  ];
}

function configOf(table: unknown): TableConfig {
  if (is(table, PgTable)) return common(pgConfig(table));
  if (is(table, SQLiteTable)) return common(sqliteConfig(table));
  if (is(table, MySqlTable)) return common(mysqlConfig(table));
  throw new TypeError("expected a table of Drizzle");
}

function common(config: object): TableConfig {
  return config as TableConfig;
}

/** The conditions in our declarations have no values. */
function textOf(sql: SQL): string {
  return new PgDialect().sqlToQuery(sql).sql;
}
