import type { Context, MiddlewareHandler } from "hono";
import { askLog } from "../core/ask.ts";
import { endTransaction } from "../core/decide.ts";
import { openTransaction } from "../core/transaction.ts";
import type { Transaction } from "../core/transaction.ts";
import { AftercommitError, TransactionStateError } from "../errors.ts";
import { transactionIdAt } from "../model/ids.ts";
import type { Background } from "./background.ts";
import type { Service } from "./configuration.ts";

/** What the middleware adds to a Hono app: `new Hono<AftercommitEnv<Env>>()` types `c.var.tx`. */
export interface AftercommitEnv<Bindings extends object = object> {
  /** What the app has as `c.env`. */
  Bindings: Bindings;
  /** What the middleware sets: the request's transaction. */
  Variables: { tx: Transaction };
}

/** How the transactions of a route are decided. */
export interface TransactionOptions {
  /** The name of a check in the configuration: a success commits, everything else asks it. Without one the status decides alone. */
  readonly check?: string;
  /** What counts as success. A thrown error never does. @default status < 400 */
  readonly commitWhen?: (c: Context) => boolean;
  /** `"eager"` probes the log before any work, for those who want the 503 then. @default "lazy" */
  readonly prepare?: "lazy" | "eager";
}

/** Says on a response that its transaction could not be decided in time, with the id; recovery decides it. */
export const UNDECIDED_HEADER = "Aftercommit-Undecided";

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
    const { core } = serviceOf(c.env);
    const id = transactionIdAt(core.clock.now(), core.crypto);
    const open = openTransaction(core, {
      id,
      ...(options.check === undefined ? {} : { check: options.check }),
      ...traceOf(c),
    });
    if (options.prepare === "eager") {
      await askLog(core, "the log to answer before the work begins", () => core.store!.transactions.decisions([id]));
    }
    c.set("tx", open.tx);
    checks.set(open.tx, options.check);

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
      const ending = await endTransaction(core, await open.close(), success);
      if (ending.undecided && thrown === undefined) c.header(UNDECIDED_HEADER, id);
      if (ending.afterwards !== undefined) after.run(c, core, ending.afterwards);
      if (thrown !== undefined) throw thrown.error;
    };
    await after.keep(c, decided());
  };
}

/** Which check decides a transaction, for a middleware that finds it open. */
const checks = new WeakMap<Transaction, string | undefined>();

/** Mounted twice on a path, the outer transaction is the one; it cannot be decided in two ways. */
function requireSameDecision(outer: Transaction, { check }: TransactionOptions): void {
  const outerCheck = checks.get(outer);
  if (check === outerCheck) return;
  const describe = (name: string | undefined) => (name === undefined ? "marked" : `checked by "${name}"`);
  throw new TransactionStateError(
    `Expected one level for a request, found ${describe(check)} inside a transaction that is ${describe(outerCheck)}.`,
    {
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
