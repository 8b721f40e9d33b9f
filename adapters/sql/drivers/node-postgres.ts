import { sqlDatabase } from "../database.ts";
import type { InteractiveDatabase } from "../database.ts";
import { postgresql } from "../dialects/postgresql.ts";
import type { SqlDriver } from "../driver.ts";
import { RolledBackByDatabase } from "../failure.ts";
import { inTurn } from "../serial.ts";
import { numbered } from "../statement.ts";
import type { Execute } from "../statement.ts";
import { executeAll } from "./orm-transaction.ts";
import { isolationLevel, takesSavepoint } from "./postgres-words.ts";

/** What is used of a `Client` of pg, by shape. */
export interface NodePostgresClientLike {
  /** Runs a statement. */
  query(text: string, values?: unknown[]): Promise<NodePostgresResultLike>;
  /** Tells of a lost connection. */
  on(event: "error", listener: (error: Error) => void): unknown;
  /** Tells no more. */
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** `"I"` where no transaction is open, `"T"` in one, `"E"` in one that only ROLLBACK can end. */
  getTransactionStatus?(): string | null;
}

/** What is used of a client that came from a pool. */
export interface NodePostgresPoolClientLike extends NodePostgresClientLike {
  /** Gives the client back, or has it ended. */
  release(error?: Error | boolean): void;
}

/** What is used of a `Pool` of pg, by shape. */
export interface NodePostgresPoolLike {
  /** Lends a client, and calls back at once. */
  connect(callback: (error: Error | undefined, client: NodePostgresPoolClientLike | undefined) => void): void;
  /** How many clients there are; a single client has no such count. */
  readonly totalCount: number;
}

/** What is used of the result of a query. */
export interface NodePostgresResultLike {
  /** What was done: `"COMMIT"`, `"ROLLBACK"`. */
  readonly command: string;
  /** How many rows it changed, or brought. */
  readonly rowCount: number | null;
  /** The rows. */
  readonly rows: unknown[];
}

/** What a transaction hands to the user: a pool's own kind of client, or the client itself. */
export type NodePostgresHandle<Connection> = Connection extends NodePostgresPoolLike
  ? Connection["connect"] extends { (): Promise<infer Client>; (callback: never): void }
    ? Client
    : NodePostgresPoolClientLike
  : Connection;

/** A client for as long as one act takes. */
interface Loan {
  readonly client: NodePostgresClientLike;
  /** Keeps the client from being used again. */
  spoil(): void;
  /** What ended the connection, if anything did. */
  lost(): unknown;
}

/**
 * A PostgreSQL through pg, or through the `Pool` and `Client` of @neondatabase/serverless: a pool, or a connected client,
 * whose transactions take turns.
 *
 * A client whose connection or whose COMMIT failed is closed, and not given back to its pool. Leave BEGIN, COMMIT and
 * ROLLBACK to `run`.
 *
 * @example
 * ```ts
 * const pool = new Pool({ connectionString });
 * const ac = aftercommit({ databases: { main: nodePostgres(pool) } });
 * ```
 */
export function nodePostgres<Connection extends NodePostgresPoolLike | NodePostgresClientLike>(
  connection: Connection,
): InteractiveDatabase<NodePostgresHandle<Connection>> {
  return sqlDatabase(nodePostgresDriver(connection)) as InteractiveDatabase<NodePostgresHandle<Connection>>;
}

function nodePostgresDriver(
  connection: NodePostgresPoolLike | NodePostgresClientLike,
): SqlDriver<NodePostgresClientLike, never, never> {
  const borrow = "totalCount" in connection ? fromPool(connection) : inTurns(connection);

  const transaction: NonNullable<SqlDriver<NodePostgresClientLike, never, never>["transaction"]> = (work, options) =>
    borrow(async (loan) => {
      const { client, spoil } = loan;
      await begin(loan, isolationLevel(options.isolation));
      let value;
      try {
        value = await work(client, executeOn(client));
      } catch (error) {
        await client.query("ROLLBACK").catch(spoil);
        throw error;
      }
      await commit(loan);
      return value;
    });

  return {
    dialect: postgresql,
    async transact(statements) {
      if (statements.length === 1) {
        return borrow(async ({ client, spoil }) => {
          try {
            return [await executeOn(client)(statements[0]!)];
          } catch (error) {
            spoil();
            throw error;
          }
        });
      }
      return transaction((_, execute) => executeAll(statements, execute), { isolation: "read committed" });
    },
    transaction,
    // The work may have ended it by a ROLLBACK of its own.
    isOpen: (client) => {
      const status = client.getTransactionStatus?.();
      if (status === undefined || status === null) return takesSavepoint((text) => client.query(text));
      return status === "T";
    },
  };
}

function executeOn(client: NodePostgresClientLike): Execute {
  return async ({ text, values }) => {
    const { rows, rowCount } = await client.query(numbered(text), [...values]);
    return { rows: rows as Record<string, unknown>[], changes: rowCount ?? 0 };
  };
}

async function begin({ client, spoil }: Loan, level: string): Promise<void> {
  try {
    if ((client.getTransactionStatus?.() ?? "I") !== "I") {
      throw new Error("Expected a connection without a transaction, found one open. Give each transaction an end.");
    }
    await client.query(`BEGIN ${level}`);
  } catch (error) {
    spoil();
    throw error;
  }
}

async function commit({ client, spoil, lost }: Loan): Promise<void> {
  const cause = lost();
  if (cause !== undefined) throw new RolledBackByDatabase("the connection was lost before its COMMIT", { cause });
  try {
    const { command } = await client.query("COMMIT");
    // An error that the work swallowed had aborted the transaction; PostgreSQL ends it without another one.
    if (command !== "ROLLBACK") return;
  } catch (error) {
    spoil();
    throw error;
  }
  throw new RolledBackByDatabase("an error had aborted the transaction before its COMMIT");
}

type Borrow = <T>(act: (loan: Loan) => Promise<T>) => Promise<T>;

/** One client per act, from a pool. */
function fromPool(pool: NodePostgresPoolLike): Borrow {
  return async (act) => {
    let fit = true;
    let lost: unknown;
    const spoil = (): void => void (fit = false);
    const onError = (error: unknown): void => {
      lost ??= error;
      spoil();
    };
    // A lost connection is an event too, and one that nobody listens to would end the process. A promise would tell too
    // late: a server that ends may say so in the same breath in which it takes the connection.
    const client = await new Promise<NodePostgresPoolClientLike>((resolve, reject) => {
      pool.connect((error, lent) => {
        lent?.on("error", onError);
        if (lent === undefined) reject(error ?? new Error("Expected the pool to lend a client, found none."));
        else resolve(lent);
      });
    });
    try {
      return await act({ client, spoil, lost: () => lost });
    } finally {
      client.release(!fit);
      // The pool listens again to a client that it takes back; one that it closes may still have its say.
      if (fit) client.removeListener("error", onError);
    }
  };
}

const heard = new WeakSet<object>();

/** One client for all acts, one after the other. */
function inTurns(client: NodePostgresClientLike): Borrow {
  // Its loss shows in the next query, whether somebody listens to the event or not.
  if (!heard.has(client)) client.on("error", () => undefined);
  heard.add(client);
  return (act) =>
    inTurn(client, async () => {
      let lost: unknown;
      const onError = (error: unknown): void => void (lost ??= error);
      client.on("error", onError);
      try {
        return await act({ client, lost: () => lost, spoil: () => undefined });
      } finally {
        client.removeListener("error", onError);
      }
    });
}
