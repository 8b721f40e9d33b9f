import type { Context } from "hono";
import type { Core } from "../core/core.ts";
import type { Ended } from "../middleware/transaction.ts";
import { keepable } from "./answer.ts";
import type { KeptAnswer } from "./answer.ts";
import type { KeyedRun } from "./begin.ts";
import { releaseLease, remember } from "./leased.ts";
import type { ResolvedOptions } from "./options.ts";

/**
 * Ends a run, before its response is on its way: what was committed is remembered with its answer, a run that came to
 * nothing leaves the key free for the next one. Never rejects: the effect has happened or not by now, and what cannot be
 * kept is found out by the key's next request.
 */
export async function endRun(
  c: Context,
  core: Core,
  run: KeyedRun,
  ended: Ended,
  options: ResolvedOptions,
): Promise<void> {
  const { inbox, claim, lease, payload, transactionId } = run;
  await lease.stop();
  const { kept, answer } = await whatToKeep(c, core, ended, options);
  if (!kept) return releaseLease(core, inbox, claim);
  const done = { payload, transactionId, ...(answer === undefined ? {} : { answer }) };
  await remember(core, { inbox, claim, done }, options.retentionMillis);
}

interface Keeping {
  /** Whether the request is done. */
  readonly kept: boolean;
  readonly answer?: KeptAnswer | undefined;
}

async function whatToKeep(c: Context, core: Core, ended: Ended, options: ResolvedOptions): Promise<Keeping> {
  const committed = isCommitted(ended, options);
  try {
    // A failure would not tell the caller that there was a commit.
    const told = committed ? ended.answered && c.res.status < 500 : isKeptRefusal(c, ended, options);
    const answer = told ? await keepable(core, c.res, options) : undefined;
    return { kept: committed || answer !== undefined, answer };
  } catch (error) {
    // The options' own functions are the user's.
    core.emit({ type: "background", error });
    return { kept: committed };
  }
}

/**
 * With a database its rows tell. Without one a success was done, even where its decision could not be written, or the
 * transaction had been rolled back by others: what its handler has done outside of the log is not to be done again.
 */
function isCommitted({ ending: { outcome }, success }: Ended, { database }: ResolvedOptions): boolean {
  return outcome === "committed" || (success && (outcome === "unused" || database === undefined));
}

function isKeptRefusal(c: Context, { ending, answered }: Ended, { keepRefusal }: ResolvedOptions): boolean {
  if (!answered || ending.outcome === undefined || keepRefusal === undefined) return false;
  return c.res.status >= 400 && c.res.status < 500 && keepRefusal(c);
}
