import type { MaybePromise } from "../ports/crypto.ts";
import type { Database, DatabaseSource, UnitOfWork } from "../ports/database.ts";

/** The databases of a configuration, by name. */
export type Databases = Readonly<Record<string, DatabaseSource>>;

/** The database that a source gives. */
export type Opened<Source> = Source extends () => MaybePromise<infer Made> ? Made : Source;

/** Whether a configuration has no types for its databases: then the handler says what it has. */
export type IsUntyped<All> = string extends keyof All ? true : false;

/**
 * The handle that a database gives to an open transaction; `never` where it takes batches only. Without types for the
 * databases it is `never` too: then the handler's own annotation says what it is, `async (sql: PoolClient) => …`.
 */
export type HandleOf<All extends Databases, Name extends keyof All> =
  IsUntyped<All> extends true
    ? never
    : Opened<All[Name]> extends { run: (work: (unit: UnitOfWork<infer Sql>) => Promise<unknown>) => unknown }
      ? Sql
      : never;

/** What a database's batches are made of. */
export type StatementOf<All extends Databases, Name extends keyof All> =
  IsUntyped<All> extends true
    ? unknown
    : Opened<All[Name]> extends { batch: (statements: readonly (infer Statement)[], riders: never) => unknown }
      ? Statement
      : never;

/** What a database's batches bring. */
export type ResultsOf<All extends Databases, Name extends keyof All> =
  IsUntyped<All> extends true
    ? unknown
    : Opened<All[Name]> extends Database<unknown, never, infer Results>
      ? Results
      : never;

/** The names of databases with transactions that stay open while code runs. */
export type InteractiveName<All extends Databases> =
  IsUntyped<All> extends true
    ? string
    : { [Name in keyof All & string]: [HandleOf<All, Name>] extends [never] ? never : Name }[keyof All & string];

/** The names of databases that take a transaction's statements all at once. */
export type BatchName<All extends Databases> =
  IsUntyped<All> extends true
    ? string
    : { [Name in keyof All & string]: [StatementOf<All, Name>] extends [never] ? never : Name }[keyof All & string];
