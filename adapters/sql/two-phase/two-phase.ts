import { AftercommitError, DatabaseNotReadyError, FatalError, RetryableError } from "../../../src/errors.ts";
import { parseDuration } from "../../../src/model/duration.ts";
import type { Duration } from "../../../src/model/duration.ts";
import { symptomsOf } from "../failure.ts";
import { gidsOf } from "./gid.ts";

/** What is used of a client of pg, by shape. */
export interface TwoPhaseClientLike {
  /** Runs a statement. */
  query(text: string, values?: unknown[]): Promise<{ readonly command: string; readonly rows: unknown[] }>;
  /** Gives the client back, or has it ended. */
  release(error?: Error | boolean): void;
}

/** What is used of a pool of them. */
export interface TwoPhasePoolLike<Client extends TwoPhaseClientLike> {
  /** Lends a client. */
  connect(): Promise<Client>;
}

/** The branch that a handler is given, as far as it matters here. */
export interface TwoPhaseBranch {
  /** Names it. */
  readonly id: string;
}

/** How a participant of two-phase commits works. */
export interface TwoPhaseOptions {
  /** Names it among all that use this database: the participant's own name. */
  readonly name: string;
  /** How many may be prepared at a time; one more is refused until some have ended. @default DEFAULT_MAX_PREPARED */
  readonly maxPrepared?: number;
  /** How long it is remembered how a branch ended: at least as long as the inbox remembers. @default "33d" */
  readonly retention?: Duration;
}

/** A prepared transaction that waits for its end. */
export interface InDoubt {
  /** The branch that it was prepared for. */
  readonly branchId: string;
  /** PostgreSQL's name of it. */
  readonly gid: string;
  /** How long it has held its locks, by the database's clock. */
  readonly ageMillis: number;
}

/** A participant whose try is PREPARE TRANSACTION. */
export interface TwoPhase<Client> {
  /** What `participantRoutes` takes: `work` runs in the transaction that is then prepared. */
  handlers<Branch extends TwoPhaseBranch>(
    work: (sql: Client, branch: Branch) => Promise<unknown>,
  ): TwoPhaseHandlers<Branch>;
  /** The transactions that have been prepared for longer than that, oldest first: for an alarm. Nothing is decided by it. */
  inDoubt(options: { readonly olderThan: Duration }): Promise<readonly InDoubt[]>;
  /**
   * Ends one by a person's decision, who has asked the caller's service how its transaction was decided.
   *
   * @throws {FatalError} where it has ended the other way, or is not there.
   * @throws {RetryableError} where that is not known yet.
   */
  resolve(branchId: string, direction: "commit" | "rollback"): Promise<void>;
  /**
   * Finds out whether the server takes prepared transactions at all.
   *
   * @throws {DatabaseNotReadyError} with the SQL to run.
   */
  verify(): Promise<void>;
}

/** The handlers of a two-phase participant. */
export interface TwoPhaseHandlers<Branch> {
  /** Its effects are not made in `branch.run`. */
  readonly database: false;
  /** BEGIN … PREPARE TRANSACTION. */
  readonly try: (branch: Branch) => Promise<null>;
  /** COMMIT PREPARED. */
  readonly confirm: (branch: Branch) => Promise<void>;
  /** ROLLBACK PREPARED. */
  readonly cancel: (branch: Branch) => Promise<void>;
}

/** Below what servers are set to; each holds its locks. */
export const DEFAULT_MAX_PREPARED = 50;
const DEFAULT_RETENTION_MILLIS = 33 * 86_400_000;
/** How long a row of ours is waited for that another transaction holds. */
const LOCK_MILLIS = 2_000;

/** What SQLSTATE says. */
const NO_SUCH_GID = "42704";
const GID_IN_USE = "42710";
const UNIQUE = "23505";
const LOCKED = "55P03";
const BUSY = "55000";

/** How a branch ended, in a row that says so: written by the prepared transaction itself, or by whoever rolled it back. */
type Ending = "prepared" | "rolledBack";

/**
 * A participant of two-phase commits on PostgreSQL: its try prepares a transaction, which the confirm commits and the cancel
 * rolls back. Between the two it holds its locks, whatever happens to any process.
 *
 * The first statement of the transaction writes a row under the branch's id: where it is seen, the transaction was
 * committed. A cancel that finds nothing prepared writes that row itself, so that a try that was cut off, and goes on,
 * cannot prepare any more. Needs `max_prepared_transactions` above 0, and the table aftercommit_inbox.
 *
 * @example
 * ```ts
 * const ledger = twoPhase(pool, { name: bookLedger.name });
 * app.route("/participants/ledger", participantRoutes(ac, bookLedger, ledger.handlers(async (sql, branch) => { … })));
 * ```
 */
export function twoPhase<Client extends TwoPhaseClientLike>(
  pool: TwoPhasePoolLike<Client>,
  options: TwoPhaseOptions,
): TwoPhase<Client> {
  const gids = gidsOf(options.name);
  const { maxPrepared = DEFAULT_MAX_PREPARED } = options;
  const retentionMillis = parseDuration(options.retention ?? DEFAULT_RETENTION_MILLIS) ?? DEFAULT_RETENTION_MILLIS;
  const consumer = `two-phase/${options.name}`;

  /** Lends a client, which is closed where the database or its connection has refused something. */
  const use = async <T>(act: (client: Client) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    try {
      const value = await act(client);
      client.release();
      return value;
    } catch (error) {
      // Whatever is open on it ends with it.
      client.release(!AftercommitError.is(error));
      throw error;
    }
  };

  const insertEnding = async (client: Client, branch: string, ending: Ending): Promise<void> => {
    await client.query(
      `INSERT INTO aftercommit_inbox (consumer, message_id, kind, token, expires)
       VALUES ($1, $2, 'done', $3, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint) + $4)`,
      [consumer, branch, ending, retentionMillis],
    );
  };
  const endingOf = async (client: Client, branch: string): Promise<Ending | undefined> => {
    const { rows } = await client.query(
      "SELECT token FROM aftercommit_inbox WHERE consumer = $1 AND message_id = $2 AND kind = 'done'",
      [consumer, branch],
    );
    return (rows[0] as { readonly token: Ending } | undefined)?.token;
  };
  const prepared = async (client: Client): Promise<readonly InDoubt[]> => {
    const { rows } = await client.query(
      `SELECT gid, EXTRACT(EPOCH FROM clock_timestamp() - prepared) * 1000 AS age FROM pg_prepared_xacts
       WHERE database = current_database() AND left(gid, $2) = $1 ORDER BY prepared`,
      [gids.prefix, gids.prefix.length],
    );
    return (rows as { readonly gid: string; readonly age: string | number }[]).map(({ gid, age }) => ({
      branchId: gids.branchOf(gid),
      gid,
      ageMillis: Math.round(Number(age)),
    }));
  };

  const prepare = async (client: Client, branch: string, work: (sql: Client) => Promise<unknown>): Promise<void> => {
    try {
      await client.query("BEGIN");
      await client.query(`SET LOCAL lock_timeout = ${LOCK_MILLIS}`);
      await insertEnding(client, branch, "prepared");
      await client.query("SET LOCAL lock_timeout TO DEFAULT");
      await work(client);
      const { command } = await client.query(`PREPARE TRANSACTION '${gids.of(branch)}'`);
      // An error that the work has swallowed had aborted it: PostgreSQL rolls it back then, without another one.
      if (command === "ROLLBACK") throw new Error("Expected to prepare a transaction, found it aborted before.");
    } catch (error) {
      // Where there is no connection any more, there is nothing to be rolled back.
      await client.query("ROLLBACK").catch(() => undefined);
      throw error;
    }
  };

  /** `false` where there is nothing of that name that is prepared. */
  const end = async (client: Client, branch: string, verb: "COMMIT" | "ROLLBACK"): Promise<boolean> => {
    try {
      await client.query(`${verb} PREPARED '${gids.of(branch)}'`);
      return true;
    } catch (error) {
      if (hasCode(error, NO_SUCH_GID)) return false;
      if (hasCode(error, BUSY)) throw new RetryableError(`"${branch}" is being ended by another`, { cause: error });
      throw error;
    }
  };

  const confirm = (branch: string): Promise<void> =>
    use(async (client) => {
      if (await end(client, branch, "COMMIT")) return;
      const ending = await endingOf(client, branch);
      if (ending === "prepared") return;
      const found = ending === undefined ? "nothing prepared" : "it rolled back";
      throw new FatalError(`expected to commit what was prepared for "${branch}", found ${found}`);
    });

  const cancel = (branch: string): Promise<void> =>
    use(async (client) => {
      if (await end(client, branch, "ROLLBACK")) return;
      await shut(client, branch);
    });

  /** Nothing is prepared: nothing can be any more once the row is there. A try that has written it is waited for. */
  const shut = async (client: Client, branch: string): Promise<void> => {
    try {
      await client.query("BEGIN");
      await client.query(`SET LOCAL lock_timeout = ${LOCK_MILLIS}`);
      await insertEnding(client, branch, "rolledBack");
      await client.query("COMMIT");
    } catch (error) {
      await client.query("ROLLBACK").catch(() => undefined);
      if (hasCode(error, LOCKED))
        throw new RetryableError(`the try of "${branch}" is running, or was prepared just now`, { cause: error });
      if (!hasCode(error, UNIQUE)) throw error;
      if ((await endingOf(client, branch)) === "prepared")
        throw new FatalError(`expected to roll back what was prepared for "${branch}", found it committed`);
    }
  };

  const attempt = async (branch: string, work: (sql: Client) => Promise<unknown>): Promise<void> => {
    const already = await use(async (client) => {
      const all = await prepared(client);
      if (all.some(({ branchId }) => branchId === branch)) return true;
      if (all.length >= maxPrepared) {
        throw new RetryableError(`expected fewer than ${maxPrepared} prepared transactions, found ${all.length}`);
      }
      return false;
    });
    // By an attempt whose answer was lost.
    if (already) return;
    try {
      await use((client) => prepare(client, branch, work));
    } catch (error) {
      if (hasCode(error, GID_IN_USE)) return;
      if (hasCode(error, LOCKED)) throw new RetryableError(`another try of "${branch}" is running`, { cause: error });
      if (!hasCode(error, UNIQUE)) throw error;
      const ending = await use((client) => endingOf(client, branch));
      // The user's own key, and not ours.
      if (ending === undefined) throw error;
      if (ending === "rolledBack")
        throw new FatalError(`expected a branch that may be tried, found "${branch}" rolled back`, { cause: error });
    }
  };

  return {
    handlers: (work) => ({
      database: false,
      async try(branch) {
        await attempt(branch.id, (sql) => work(sql, branch));
        return null;
      },
      confirm: (branch) => confirm(branch.id),
      cancel: (branch) => cancel(branch.id),
    }),
    async inDoubt({ olderThan }) {
      const millis = parseDuration(olderThan) ?? 0;
      return (await use(prepared)).filter(({ ageMillis }) => ageMillis >= millis);
    },
    resolve: (branchId, direction) => (direction === "commit" ? confirm(branchId) : cancel(branchId)),
    verify: () =>
      use(async (client) => {
        const { rows } = await client.query("SELECT current_setting('max_prepared_transactions') AS most");
        const { most } = rows[0] as { readonly most: string };
        if (Number(most) > 0) return;
        throw new DatabaseNotReadyError(
          "Expected a server that takes prepared transactions, found that it takes none.",
          {
            hint: "Run this as a superuser, and start the server again:",
            sql: "ALTER SYSTEM SET max_prepared_transactions = 64;",
          },
        );
      }),
  };
}

function hasCode(error: unknown, code: string): boolean {
  return symptomsOf(error).codes.has(code);
}
