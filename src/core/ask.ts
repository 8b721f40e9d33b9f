import { AftercommitError, UnavailableError } from "../errors.ts";
import type { MaybePromise } from "../ports/crypto.ts";
import type { Core } from "./core.ts";

/**
 * Awaits a call of a store or transport, but not for ever. A failure and a call that takes too long both become an
 * {@link UnavailableError}: not known, perhaps applied.
 */
async function ask<T>(
  core: Pick<Core, "clock">,
  code: UnavailableError["code"] & `ERR_${"DATABASE" | "LOG" | "INBOX" | "TRANSPORT" | "PAYLOAD"}_UNAVAILABLE`,
  what: string,
  millis: number,
  call: () => Promise<T>,
): Promise<T> {
  const timer = new AbortController();
  const late = core.clock.sleep(millis, timer.signal).then((): typeof LATE => LATE);
  let answer: T | typeof LATE;
  try {
    answer = await Promise.race([call(), late]);
  } catch (error) {
    if (error instanceof AftercommitError) throw error;
    throw new UnavailableError(code, `Expected ${what} to succeed, found an error of the store or transport.`, {
      hint: "Its cause is attached; recovery goes on once it answers.",
      cause: error,
    });
  } finally {
    // With a reason of its own: an error would be made, with its stack, for every call that was answered.
    timer.abort(ANSWERED);
  }
  if (answer !== LATE) return answer;
  throw new UnavailableError(code, `Expected ${what} within ${millis} ms, found no answer.`, {
    hint: "It may have been applied all the same; recovery finds out.",
  });
}

const LATE = Symbol("late");
const ANSWERED = "answered";

/** Calls the user's own check, with the transport's time limit: it may ask a database. */
export function askInTime<T>(core: Core, what: string, call: () => MaybePromise<T>): Promise<T> {
  return ask(core, "ERR_LOG_UNAVAILABLE", what, core.settings.transportTimeoutMillis, async () => call());
}

/** Calls the transaction log, with its time limit. */
export function askLog<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_LOG_UNAVAILABLE", what, core.settings.storeTimeoutMillis, call);
}

/** How many times the log's time limit a look for people may take: it may walk through much. */
const LOOK_FACTOR = 10;

/** Reads the log for people. */
export function askReader<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_LOG_UNAVAILABLE", what, core.settings.storeTimeoutMillis * LOOK_FACTOR, call);
}

/** Calls the inbox, with its time limit. */
export function askInbox<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_INBOX_UNAVAILABLE", what, core.settings.storeTimeoutMillis, call);
}

/** Calls the transport, with its time limit. */
export function askTransport<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_TRANSPORT_UNAVAILABLE", what, core.settings.transportTimeoutMillis, call);
}

/** Seals or opens a payload, with the transport's time limit: it may be large. */
export function askPayloads<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_PAYLOAD_UNAVAILABLE", what, core.settings.transportTimeoutMillis, call);
}

/** Calls a business database for rows of ours, with its time limit. */
export function askDatabase<T>(core: Core, what: string, call: () => Promise<T>): Promise<T> {
  return ask(core, "ERR_DATABASE_UNAVAILABLE", what, core.settings.databaseTimeoutMillis, call);
}
