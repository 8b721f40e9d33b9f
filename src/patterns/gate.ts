import { askDatabase, askInbox } from "../core/ask.ts";
import type { Core } from "../core/core.ts";
import { databaseInbox, withDatabase } from "../core/databases.ts";
import { FatalError, RetryableError } from "../errors.ts";
import { formatDuration } from "../model/duration.ts";
import { randomToken } from "../model/ids.ts";
import type { Inbox } from "../ports/inbox.ts";
import type { BranchData } from "./branch-data.ts";

/** The outcome of a try that can never run any more. With a blank in front, as no outcome of a handler has. */
export const CANCELLED = ' {"aftercommit":"cancelled"}';

/** Which way a branch goes in the end. */
export type Direction = "confirm" | "cancel";

/**
 * What stands between the try of a branch and its end, in the inbox of the participant: entries under the participant's
 * name.
 *
 * - `<branch>`: the try, as any message: leased while it runs, done with its result; done as {@link CANCELLED} it never runs.
 * - `<branch>/first`: only without a database: who came first, the try before it does anything or the cancel; kept as a
 *   lease that nobody renews, under a token that says it.
 * - `<branch>/end`: which way it goes, kept in the same way.
 */
export interface Gate {
  /** Lets a try through, unless a cancel was first. For participants without a database: with one, its COMMIT does it. */
  admitTry(branch: string): Promise<boolean>;
  /**
   * Shuts the branch for tries, now or at its COMMIT. `"empty"`: none has done anything, or ever will.
   *
   * @throws {RetryableError} while a try is running.
   */
  shut(branch: string): Promise<"empty" | "tried">;
  /**
   * Asserts that a try has succeeded.
   *
   * @throws {FatalError} where there was none, or it was cancelled.
   * @throws {RetryableError} while a try is running.
   */
  requireTried(branch: string): Promise<void>;
  /**
   * Asserts that the branch goes this way: the first direction is the only one, for good.
   *
   * @throws {FatalError} where it goes the other way.
   */
  turn(branch: string, direction: Direction): Promise<void>;
}

/** The gate of a participant, in its database or else in the inbox of its service. */
export function gateOf(core: Core, participant: string, database: string | undefined): Gate {
  const inbox: Inbox = database === undefined ? core.inbox! : databaseInbox(core, database);
  const { inboxLeaseMillis, inboxRetentionMillis: retentionMillis } = core.settings;
  const key = (messageId: string) => ({ consumer: participant, messageId });
  const ask = <T>(call: () => Promise<T>) => askInbox(core, "the inbox to keep a branch", call);
  /** One step, and the same answer for whoever asks again. */
  const isFirst = async (messageId: string, token: string): Promise<boolean> => {
    const { state } = await ask(() => inbox.claim({ ...key(messageId), token }, retentionMillis));
    return state === "claimed";
  };
  const running = (branch: string): RetryableError =>
    new RetryableError(`the try of "${branch}" is running`, { retryAfter: inboxLeaseMillis });

  /** The one row that a try writes in its own transaction is written here, or it is there. */
  const shutInDatabase = async (name: string, branch: string): Promise<"empty" | "tried"> => {
    const claim = { ...key(branch), token: randomToken(core.crypto) };
    const consumed = { claim, retentionMillis, outcome: CANCELLED };
    const written = await withDatabase(core, name, (opened) =>
      askDatabase(core, "the database to cancel a branch", () => opened.write({ consumed })),
    );
    if (written.status === "committed") return "empty";
    if (written.status === "duplicate") return written.outcome === CANCELLED ? "empty" : "tried";
    throw new RetryableError(`the try of "${branch}" may be running`, { cause: written.error });
  };

  const shutInInbox = async (branch: string): Promise<"empty" | "tried"> => {
    if (await isFirst(`${branch}/first`, "cancel")) return "empty";
    // A try came first, and may have done half of its work. What is done or shut needs no claim any more.
    const claim = { ...key(branch), token: randomToken(core.crypto) };
    const { state } = await ask(() => inbox.claim(claim, inboxLeaseMillis));
    if (state === "busy") throw running(branch);
    if (state === "done") return "tried";
    const completed = await ask(() => inbox.complete(claim, { outcome: CANCELLED, retentionMillis }));
    if (completed !== "completed") throw running(branch);
    return "tried";
  };

  return {
    admitTry: (branch) => isFirst(`${branch}/first`, "try"),

    shut: (branch) => (database === undefined ? shutInInbox(branch) : shutInDatabase(database, branch)),

    async requireTried(branch) {
      const claim = { ...key(branch), token: randomToken(core.crypto) };
      const found = await ask(() => inbox.claim(claim, inboxLeaseMillis));
      if (found.state === "busy") throw running(branch);
      if (found.state === "claimed") {
        await ask(() => inbox.release(claim));
        throw new FatalError(`expected the branch "${branch}" to be tried, found no try of it`);
      }
      if (found.outcome === CANCELLED)
        throw new FatalError(`expected the branch "${branch}" to be tried, found it cancelled`);
    },

    async turn(branch, direction) {
      if (await isFirst(`${branch}/end`, direction)) return;
      throw new FatalError(`expected to ${direction} the branch "${branch}", found that it goes the other way`);
    },
  };
}

/**
 * Asserts that the entries of a branch cannot have been forgotten yet.
 *
 * @throws {FatalError} where they may be: a cancel would take what was tried for never tried.
 */
export function requireRemembered(core: Core, { branch, at }: BranchData<unknown>): void {
  const { inboxRetentionMillis } = core.settings;
  if (core.clock.now() - at <= inboxRetentionMillis) return;
  throw new FatalError(
    `expected the end of the branch "${branch}" within the ${formatDuration(inboxRetentionMillis)} that it is remembered, found it later`,
  );
}
