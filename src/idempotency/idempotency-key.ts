import type { Context, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Core } from "../core/core.ts";
import { logOf } from "../core/core.ts";
import type { Databases } from "../core/database-types.ts";
import { databaseInbox } from "../core/databases.ts";
import type { Transaction } from "../core/transaction.ts";
import { UnavailableError } from "../errors.ts";
import { fingerprint } from "../model/ids.ts";
import type { Inbox, InboxReader } from "../ports/inbox.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import type { Background } from "../middleware/background.ts";
import { internalsOf } from "../middleware/internals.ts";
import { inTransaction, requireSameDecision } from "../middleware/transaction.ts";
import { replay } from "./answer.ts";
import type { DoneRequest } from "./answer.ts";
import { begin, LEASE } from "./begin.ts";
import type { Beginning, KeyedPlace } from "./begin.ts";
import { endRun } from "./end.ts";
import { fateInDatabase, fateInLog } from "./fate.ts";
import { parseKey } from "./key-field.ts";
import { releaseLease } from "./leased.ts";
import { IDEMPOTENCY_KEY_HEADER, requireDecisions, resolved, scopeOf } from "./options.ts";
import type { IdempotencyOptions, ResolvedOptions } from "./options.ts";
import { payloadOf } from "./payload.ts";
import { IN_FLIGHT, invalidKey, MISSING_KEY, NOT_KEPT, problem, REUSED_KEY, tooLarge, UNAVAILABLE } from "./problem.ts";
import type { ProblemDetails } from "./problem.ts";

/** Says on an answer that the request had been done before. */
export const REPLAYED_HEADER = "Idempotency-Replayed";

/** Methods that change nothing. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** The requests that are being done under a key: mounted twice on a path, the outer middleware is the one. */
const keyed = new WeakSet<Context>();

/**
 * The middleware that does a request with an `Idempotency-Key` once, and answers its repetitions with the first answer. It
 * gives the route its transaction, as `ac.transaction()` with the same options does, which may be mounted besides; the
 * transaction's id comes from the key. Requests without a key, and those that change nothing, are as without it.
 *
 * With a `database` everything is remembered in that database: one commit a key, whatever crashes, and no Redis. Without one
 * it is remembered in the service's inbox, and the promise is that of the transaction's level.
 *
 * @throws {ConfigurationError} where the options cannot work, or the service cannot produce; with the first request where
 *   they do not fit the service's settings.
 * @example
 * ```ts
 * app.post(
 *   "/orders",
 *   idempotencyKey(ac, { scope: (c) => c.get("user").id, required: true, database: "main" }),
 *   async (c) => {
 *     await c.var.tx.run("main", async (sql) => { … });
 *     return c.json({ id }, 201);
 *   },
 * );
 * ```
 * Source: draft-ietf-httpapi-idempotency-key-header.
 */
export function idempotencyKey<All extends Databases = Databases>(
  ac: Pick<Aftercommit<unknown, All>, "transaction">,
  options: IdempotencyOptions<All>,
): MiddlewareHandler {
  const how = resolved(options as IdempotencyOptions);
  const plain = ac.transaction(options);
  const { serviceOf, after } = internalsOf(ac);

  return async function idempotent(c, next) {
    if (keyed.has(c)) return next();
    const field = c.req.header(IDEMPOTENCY_KEY_HEADER);
    if (SAFE.has(c.req.method) || (field === undefined && how.required !== true)) return plain(c, next);
    const { core } = serviceOf(c.env);
    requireDecisions(how, core.settings);
    return after.keep(c, doOnce(c, next, field, { core, after, how }));
  };
}

interface Parts {
  readonly core: Core;
  readonly after: Background;
  readonly how: ResolvedOptions;
}

/** Does a request under its key, or answers for the one that has. */
async function doOnce(
  c: Context,
  next: () => Promise<void>,
  field: string | undefined,
  { core, after, how }: Parts,
): Promise<Response | undefined> {
  const refuse = (details: ProblemDetails): Response => {
    core.emit({ type: "rejected", path: c.req.path, status: details.status, reason: details.code });
    return problem(details);
  };
  if (field === undefined) return refuse(MISSING_KEY);
  const parsed = parseKey(field, how);
  if ("found" in parsed) return refuse(invalidKey(parsed.found, how));
  const outer = c.get("tx") as Transaction | undefined;
  if (outer !== undefined) requireSameDecision(outer, how);
  const payload = await payloadOf(c, core.crypto, how);
  if (payload === undefined) return refuse(tooLarge(how));

  const place = await placeOf(c, parsed.key, payload, { core, after, how });
  let beginning: Beginning;
  try {
    beginning = await begin(core, place);
  } catch (error) {
    if (!UnavailableError.is(error)) throw error;
    core.emit({ type: "background", error });
    return refuse(UNAVAILABLE);
  }
  if (beginning.state === "reused") return refuse(REUSED_KEY);
  if (beginning.state === "inFlight") {
    core.emit({ type: "busy", consumer: LEASE, messageId: place.keyId });
    return problem(IN_FLIGHT);
  }
  if (beginning.state === "done") {
    core.emit({ type: "duplicate", consumer: LEASE, messageId: place.keyId });
    return again(c, beginning.done, how);
  }

  const { run } = beginning;
  let ended = false;
  keyed.add(c);
  try {
    await inTransaction(c, next, {
      core,
      after,
      options: how,
      keyed: {
        id: run.transactionId,
        async ended(found) {
          ended = true;
          await endRun(c, core, run, found, how);
        },
      },
    });
    return undefined;
  } finally {
    if (outer !== undefined) c.set("tx", outer);
    if (!ended) {
      await run.lease.stop();
      await releaseLease(core, run.inbox, run.claim);
    }
  }
}

/** Where a request with a key is remembered, and who decides about it. */
async function placeOf(c: Context, key: string, payload: string, { core, after, how }: Parts): Promise<KeyedPlace> {
  const { settings, crypto } = core;
  const { database, check, retentionMillis } = how;
  const scope = await scopeOf(c, how);
  const inDatabase = database !== undefined;
  const fateOf: KeyedPlace["fateOf"] = async (transactionId) => {
    const fate = inDatabase ? fateInDatabase(core, database, transactionId) : fateInLog(core, check, transactionId);
    const { verdict, afterwards } = await fate;
    if (afterwards !== undefined) after.run(c, core, afterwards);
    return verdict;
  };
  // Longer than any run that it is the record of; with a database as long as the rows that it leads to.
  const leastMillis = inDatabase
    ? settings.decisionRetentionMillis
    : settings.deadlineMillis + settings.inboxLeaseMillis;
  return {
    inbox: inDatabase ? databaseInbox(core, database) : inboxOf(core),
    keyId: await fingerprint(crypto, "key", settings.source, scope, c.req.method, routePath(c), key),
    payload,
    retentionMillis,
    recordMillis: Math.max(retentionMillis, leastMillis),
    fateOf,
  };
}

/** The inbox of the service, or else the one in its log, which tells what it holds. */
function inboxOf(core: Core): Inbox & InboxReader {
  const { inbox } = core;
  return inbox !== undefined && "look" in inbox ? (inbox as Inbox & InboxReader) : logOf(core).inbox;
}

/** The answer of a request that was done before. */
async function again(c: Context, { answer, transactionId }: DoneRequest, how: ResolvedOptions): Promise<Response> {
  if (answer === undefined && how.onReplay === undefined) return problem({ ...NOT_KEPT, transactionId });
  const response = answer === undefined ? await how.onReplay!(c, transactionId) : replay(c, answer);
  const replayed = new Response(response.body, response);
  replayed.headers.set(REPLAYED_HEADER, "true");
  return replayed;
}
