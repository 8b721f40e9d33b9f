export { sqlDatabase } from "./database.ts";
export type { BatchDatabase, InteractiveDatabase, SqlDatabase } from "./database.ts";
export type { Dialect } from "./dialect.ts";
export type { SqlDriver } from "./driver.ts";
export type { Failure, Symptoms } from "./failure.ts";
export { neonHttp } from "./drivers/neon-http.ts";
export type { NeonHttpLike, NeonHttpResultLike, NeonHttpResults, NeonHttpStatement } from "./drivers/neon-http.ts";
export { nodePostgres } from "./drivers/node-postgres.ts";
export type {
  NodePostgresClientLike,
  NodePostgresHandle,
  NodePostgresPoolClientLike,
  NodePostgresPoolLike,
  NodePostgresResultLike,
} from "./drivers/node-postgres.ts";
export { pglite } from "./drivers/pglite.ts";
export type { PGliteHandle, PGliteLike, PGliteResultLike, PGliteTransactionLike } from "./drivers/pglite.ts";
export { postgresJs } from "./drivers/postgres-js.ts";
export type {
  PostgresJsHandle,
  PostgresJsLike,
  PostgresJsRowsLike,
  PostgresJsTransactionLike,
} from "./drivers/postgres-js.ts";
export { betterSqlite3 } from "./drivers/better-sqlite3.ts";
export type { BetterSqlite3Like, BetterSqlite3StatementLike } from "./drivers/better-sqlite3.ts";
export { bunSqlite } from "./drivers/bun-sqlite.ts";
export type { BunSqliteLike, BunSqliteStatementLike } from "./drivers/bun-sqlite.ts";
export { d1 } from "./drivers/d1.ts";
export type { D1Like, D1ResultLike, D1StatementLike } from "./drivers/d1.ts";
export { libsql } from "./drivers/libsql.ts";
export type {
  LibsqlDatabase,
  LibsqlLike,
  LibsqlResultLike,
  LibsqlStatement,
  LibsqlTransactionLike,
} from "./drivers/libsql.ts";
export { mysql2 } from "./drivers/mysql2.ts";
export type { Mysql2ConnectionLike, Mysql2PoolLike, Mysql2Query } from "./drivers/mysql2.ts";
export { nodeSqlite } from "./drivers/node-sqlite.ts";
export type { NodeSqliteLike, NodeSqliteStatementLike } from "./drivers/node-sqlite.ts";
export { drizzleBatch } from "./drivers/drizzle-batch.ts";
export type { DrizzleBatchItem, DrizzleBatchLike, DrizzleBatchOptions } from "./drivers/drizzle-batch.ts";
export { drizzleOrm } from "./drivers/drizzle-orm.ts";
export type { DrizzleHandle, DrizzleLike, DrizzleOptions, DrizzleTransaction } from "./drivers/drizzle-orm.ts";
export type { DrizzleSqlTag } from "./drivers/drizzle-result.ts";
export { kysely } from "./drivers/kysely.ts";
export type { KyselyLike, KyselyOptions, KyselyTransaction } from "./drivers/kysely.ts";
export { prismaOrm } from "./drivers/prisma-orm.ts";
export type { PrismaLike, PrismaOptions, PrismaTransaction } from "./drivers/prisma-orm.ts";
export { dialectOf, grantsOf, schemaOf } from "./schema.ts";
export type { Execute, SqlResult, SqlStatement, SqlValue } from "./statement.ts";
export { DEFAULT_MAX_PREPARED, twoPhase } from "./two-phase/index.ts";
export type {
  InDoubt,
  TwoPhase,
  TwoPhaseBranch,
  TwoPhaseClientLike,
  TwoPhaseHandlers,
  TwoPhaseOptions,
  TwoPhasePoolLike,
} from "./two-phase/index.ts";
