import type { Context, MiddlewareHandler } from "hono";
import { askLog } from "../core/ask.ts";
import { logOf } from "../core/core.ts";
import type { Core } from "../core/core.ts";
import type { Databases } from "../core/database-types.ts";
import type { Ending } from "../core/decide.ts";
import { openRequest } from "../core/open-request.ts";
import type { Transaction } from "../core/transaction.ts";
import { AftercommitError, TransactionStateError } from "../errors.ts";
import { transactionIdAt } from "../model/ids.ts";
import type { Background } from "./background.ts";
import type { Service } from "./configuration.ts";

/** What the middleware adds to a Hono app: `new Hono<AftercommitEnv<Env>>()` types `c.var.tx`. */
export interface AftercommitEnv<Bindings extends object = object, All extends Databases = Databases> {
  /** What the app has as `c.env`. */
  Bindings: Bindings;
  /** What the middleware sets: the request's transaction. */
  Variables: { tx: Transaction<All> };
}

/** How the transactions of a route are decided: by a database, or else by the response and perhaps a check. */
export interface TransactionOptions<All extends Databases = Databases> {
  /** The name of the database whose own commit decides, whatever the handler answers: level `barrier`. */
  readonly database?: keyof All & string;
  /** The name of a check in the configuration: a success commits, everything else asks it. Without one the status decides alone. */
  readonly check?: string;
  /** What counts as success. A thrown error never does. @default status < 400 */
  readonly commitWhen?: (c: Context) => boolean;
  /** `"eager"` probes the log before any work, for those who want the 503 then. Not for a database, which needs no log. @default "lazy" */
  readonly prepare?: "lazy" | "eager";
  /**
   * What a publish does while the log is out of reach: `"reject"` refuses it; `"proceed"` keeps the message in memory, sends
   * it right after a success, and says so on the response. Not for a database, which needs no log.
   * @default "reject"
   */
  readonly whenLogUnavailable?: "reject" | "proceed";
}

/** Says on a response that its transaction could not be decided in time, with the id; recovery decides it. */
export const UNDECIDED_HEADER = "Aftercommit-Undecided";

/** Says on a response how many of its deliveries are held by the process alone, as the log was out of reach. */
export const UNPROTECTED_HEADER = "Aftercommit-Unprotected";

/** Makes the middleware; `serviceOf` gives the service of a request's environment. */
export function transactionMiddleware(
  serviceOf: (env: unknown) => Service,
  after: Background,
  options: TransactionOptions = {},
): MiddlewareHandler {
  return async function transaction(c, next) {
    const outer = c.get("tx") as Transaction | undefined;
    if (outer !== undefined) {
      requireSameDecision(outer, options);
      return next();
    }
    await inTransaction(c, next, { core: serviceOf(c.env).core, after, options });
  };
}

/** How a request's transaction ended, for whoever named it. */
export interface Ended {
  readonly ending: Ending;
  /** Whether the handler succeeded. */
  readonly success: boolean;
  /** Whether `c.res` is its answer: not where an error goes on to whoever answers for errors. */
  readonly answered: boolean;
}

/** A transaction that a caller's idempotency key names. */
export interface KeyedRequest {
  /** The id that the key leads to. */
  readonly id: string;
  /** Told how the transaction ended, before the response is on its way. Never rejects. */
  ended(ended: Ended): Promise<void>;
}

/** Runs the rest of a request in a transaction of its own, and ends that before the response. */
export async function inTransaction(
  c: Context,
  next: () => Promise<void>,
  how: {
    readonly core: Core;
    readonly after: Background;
    readonly options: TransactionOptions;
    readonly keyed?: KeyedRequest;
  },
): Promise<void> {
  const { core, after, options, keyed } = how;
  const id = keyed?.id ?? transactionIdAt(core.clock.now(), core.crypto);
  const proceed = options.whenLogUnavailable === "proceed";
  const { tx, end } = openRequest(core, {
    id,
    ...(options.check === undefined ? {} : { check: options.check }),
    ...(options.database === undefined ? {} : { database: options.database }),
    ...(keyed === undefined ? {} : { keyed: true }),
    proceed,
    ...traceOf(c),
  });
  if (options.prepare === "eager") {
    const probe = askLog(core, "the log to answer before the work begins", () =>
      logOf(core).transactions.decisions([id]),
    );
    await (proceed ? probe.catch(() => undefined) : probe);
  }
  c.set("tx", tx);
  levels.set(tx, describe(options));

  const decided = async (): Promise<void> => {
    let success = false;
    let thrown: { readonly error: unknown } | undefined;
    try {
      await next();
      // Hono answers for errors of ours without a word in its log, as they bring their own response.
      if (AftercommitError.is(c.error)) core.emit({ type: "requestFailed", transactionId: id, error: c.error });
      success = c.error === undefined && (options.commitWhen?.(c) ?? c.res.status < 400);
    } catch (error) {
      thrown = { error };
    }
    const ending = await end(success);
    if (ending.undecided && thrown === undefined) c.header(UNDECIDED_HEADER, id);
    if (ending.unprotected > 0 && thrown === undefined) c.header(UNPROTECTED_HEADER, String(ending.unprotected));
    if (ending.afterwards !== undefined) after.run(c, core, ending.afterwards);
    await keyed?.ended({ ending, success, answered: thrown === undefined && ending.error === undefined });
    if (thrown !== undefined) throw thrown.error;
    if (ending.error !== undefined) {
      core.emit({ type: "requestFailed", transactionId: id, error: ending.error });
      throw ending.error;
    }
  };
  await after.keep(c, decided());
}

/** How a transaction is decided, in words, for a middleware that finds it open. */
const levels = new WeakMap<Transaction, string>();

function describe({ check, database }: TransactionOptions): string {
  if (database !== undefined) return `decided by the database "${database}"`;
  return check === undefined ? "marked" : `checked by "${check}"`;
}

/** Mounted twice on a path, the outer transaction is the one; it cannot be decided in two ways. */
export function requireSameDecision(outer: Transaction, options: TransactionOptions): void {
  const inner = describe(options);
  const found = levels.get(outer);
  if (inner === found) return;
  throw new TransactionStateError(
    `Expected one level for a request, found ${inner} inside a transaction that is ${found}.`,
    {
      code: "ERR_TRANSACTION_LEVEL",
      hint: "Mount ac.transaction() once on the path, or with the same options.",
      transactionId: outer.id,
    },
  );
}

/** Version ff and ids of zeros alone are not valid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's trace context, where it is well formed. Source: W3C Trace Context. */
function traceOf(c: Context): { traceparent?: string; tracestate?: string } {
  const traceparent = c.req.header("traceparent");
  const tracestate = c.req.header("tracestate");
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return {};
  return tracestate === undefined || tracestate.length > 512 || !/^[\x20-\x7e]*$/.test(tracestate)
    ? { traceparent }
    : { traceparent, tracestate };
}
