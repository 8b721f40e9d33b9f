export { sqlDatabase } from "./database.ts";
export type { BatchDatabase, InteractiveDatabase, SqlDatabase } from "./database.ts";
export type { Dialect } from "./dialect.ts";
export type { SqlDriver } from "./driver.ts";
export type { Failure, Symptoms } from "./failure.ts";
export { nodeSqlite } from "./drivers/node-sqlite.ts";
export type { NodeSqliteLike, NodeSqliteStatementLike } from "./drivers/node-sqlite.ts";
export { dialectOf, grantsOf, schemaOf } from "./schema.ts";
export type { Execute, SqlResult, SqlStatement, SqlValue } from "./statement.ts";
