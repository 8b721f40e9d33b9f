import { ConfigurationError } from "../../../src/errors.ts";
import { DURATION_FORM, parseDuration } from "../../../src/model/duration.ts";
import type { Duration } from "../../../src/model/duration.ts";
import type { Isolation, UnitOptions } from "../../../src/ports/database.ts";
import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import type { Dialect } from "../dialect.ts";
import { RolledBackByDatabase, symptomsOf } from "../failure.ts";
import { dialectOf } from "../schema.ts";
import type { SqlResult, SqlStatement } from "../statement.ts";
import { bringsRows, executeAll, ormStatement, ormTransaction, READ_COMMITTED } from "./orm-transaction.ts";
import type { RunTransaction } from "./orm-transaction.ts";

/** What is used of a `PrismaClient`, by shape. */
export interface PrismaLike {
  /** Runs a transaction. */
  $transaction(work: never, options?: never): unknown;
}

/** The handle that `run` gives: `Prisma.TransactionClient`, with the client's extensions. */
export type PrismaTransaction<Client extends PrismaLike> = Parameters<Client["$transaction"]>[0] extends (
  tx: infer Tx,
) => unknown
  ? Tx
  : never;

/** What Prisma does not tell of itself, and its limits for a transaction. */
export interface PrismaOptions {
  /** What the database speaks. */
  readonly dialect: Dialect["name"];
  /** How long a transaction may stay open; Prisma rolls back one that takes longer. @default the client's own, 5 s */
  readonly timeout?: Duration;
  /** How long a transaction may wait for a connection. @default the client's own, 2 s */
  readonly maxWait?: Duration;
}

/**
 * A database through Prisma: PostgreSQL, SQLite or MySQL, by any driver adapter. `tx.savepoint` needs a Prisma whose
 * transactions nest, as those of 7.10 do.
 *
 * @example
 * ```ts
 * const client = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
 * const ac = aftercommit({ databases: { main: prismaOrm(client, { dialect: "postgresql", timeout: "10s" }) } });
 * // in a handler
 * await tx.run("main", async (sql) => {
 *   await sql.order.create({ data: { id, cents } });
 * });
 * ```
 */
export function prismaOrm<Client extends PrismaLike>(
  client: Client,
  { dialect: name, timeout, maxWait }: PrismaOptions,
): InteractiveDatabase<PrismaTransaction<Client>> {
  const root = client as unknown as Executor;
  const dialect = dialectOf(name);
  const limits = { ...limitOf("timeout", timeout), ...limitOf("maxWait", maxWait) };
  const begin =
    ({ isolation }: UnitOptions): RunTransaction<Executor> =>
    async (work) => {
      // SQLite has one isolation level only.
      const level = isolation === undefined || name === "sqlite" ? {} : { isolationLevel: LEVELS[isolation] };
      try {
        return await root.$transaction(work, { ...limits, ...level });
      } catch (error) {
        if (!isEndedByPrisma(error)) throw error;
        throw new RolledBackByDatabase("Prisma had rolled back the transaction", { cause: error });
      }
    };
  const execute = async (executor: Executor, statement: SqlStatement): Promise<SqlResult> => {
    const { text, values } = ormStatement(dialect, statement);
    if (bringsRows(statement)) return { rows: await executor.$queryRawUnsafe(text, ...values), changes: 0 };
    return { rows: [], changes: await executor.$executeRawUnsafe(text, ...values) };
  };

  const database = sqlDatabase<Executor, never, never>({
    dialect,
    async transact(statements) {
      const [first, ...others] = statements;
      if (first !== undefined && others.length === 0) return [await execute(root, first)];
      return ormTransaction(dialect, begin(READ_COMMITTED), execute, (_, executeOne) =>
        executeAll(statements, executeOne),
      );
    },
    transaction: (work, options) => ormTransaction(dialect, begin(options), execute, work),
    // Raw statements are prepared, and MySQL prepares no SAVEPOINT.
    savepoint: nestedTransaction(),
  });
  return database as unknown as InteractiveDatabase<PrismaTransaction<Client>>;
}

/** Parts by transactions within transactions, which Prisma wants to be asked for on the innermost one. */
function nestedTransaction(): <T>(tx: Executor, part: (tx: Executor) => Promise<T>) => Promise<T> {
  const innermost = new WeakMap<Executor, Executor>();
  return async (tx, part) => {
    const outer = innermost.get(tx) ?? tx;
    try {
      return await outer.$transaction((inner) => {
        innermost.set(tx, inner);
        return part(inner);
      }, {});
    } finally {
      innermost.set(tx, outer);
    }
  };
}

const LEVELS: Readonly<Record<Isolation, string>> = {
  "read committed": "ReadCommitted",
  "repeatable read": "RepeatableRead",
  serializable: "Serializable",
};

/** What is used of a client and its transactions alike. */
interface Executor {
  $transaction<T>(work: (tx: Executor) => Promise<T>, options: object): Promise<T>;
  $queryRawUnsafe(text: string, ...values: unknown[]): Promise<SqlResult["rows"]>;
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>;
}

/** Prisma refuses to begin, to go on with, or to commit a transaction: whichever it is, no COMMIT went out. */
function isEndedByPrisma(error: unknown): boolean {
  const { codes, text } = symptomsOf(error);
  return codes.has("P2028") && !text.includes("on a committed transaction");
}

function limitOf(name: "timeout" | "maxWait", duration: Duration | undefined): Readonly<Record<string, number>> {
  if (duration === undefined) return {};
  const millis = parseDuration(duration);
  if (millis !== undefined && millis > 0) return { [name]: millis };
  const [found, remedy] = [JSON.stringify(duration), "Leave it out to have the client's own."];
  throw new ConfigurationError([{ path: `prismaOrm.${name}`, expected: DURATION_FORM, found, remedy }]);
}
