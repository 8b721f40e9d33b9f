import { Hono } from "hono";
import type { Context } from "hono";
import { recordFailure } from "../core/dead-letters.ts";
import { sweep } from "../core/sweep.ts";
import { AftercommitError } from "../errors.ts";
import type { Service } from "../middleware/configuration.ts";
import { answer, verifyRequest } from "../middleware/signed-request.ts";
import { utf8 } from "../model/bytes.ts";
import { isDeliveryKey } from "../model/delivery.ts";
import { isTransactionId } from "../model/ids.ts";
import type { PageOptions } from "../ports/log-reader.ts";
import { operatorOf } from "./operator.ts";

/** A failure callback carries the message and the last answer, both in base64. */
const FAILURE_BODY_FACTOR = 4;
/** A sweep call says nothing. */
const CALL_BODY_LIMIT = 65_536;
const MAX_CURSOR_LENGTH = 1_024;

/**
 * The routes for the transport, for cron jobs and for people:
 *
 * - `POST /failed`: the transport reports what it could not deliver; signed.
 * - `POST /watchdog`: the watchdog's own delayed call; signed.
 * - `POST /sweep`: a sweep; signed (a schedule of the transport) or with the bearer token (any cron); with `?audit=true` one
 *   that looks through the databases whatever the log says.
 * - `GET /counts`, `/held`, `/dead`, `/unconfirmed`, `/transactions/:id`; `POST /dead/:key/redrive` (`?asNew=true`),
 *   `/dead/:key/discard`, `/transactions/:id/commit`, `/transactions/:id/rollback`: bearer token only.
 *
 * Every call is idempotent by what it says, so that a repeated or replayed one does nothing twice.
 */
export function operationsRoutes(serviceOf: (env: unknown) => Service): Hono {
  const app = new Hono();
  const signed =
    (limit: (service: Service) => number, act: (service: Service, body: string, url: URL) => Promise<unknown>) =>
    async (c: Context) => {
      const service = serviceOf(c.env);
      const verified = await verifyRequest(c, service, limit(service));
      return verified instanceof Response
        ? verified
        : answered(service, () => act(service, verified.body, verified.url));
    };
  const bearer = (act: (service: Service, c: Context) => Promise<unknown>) => async (c: Context) => {
    const service = serviceOf(c.env);
    return (await hasBearer(service, c))
      ? answered(service, () => act(service, c))
      : answer(401, { error: { code: "unauthorized" } });
  };
  const operator = (act: (operator: ReturnType<typeof operatorOf>, c: Context) => Promise<unknown>) =>
    bearer((service, c) => act(operatorOf(service), c));

  app.post(
    "/failed",
    signed(({ core: { settings } }) => {
      return Math.max(settings.bodyLimitBytes, settings.maxMessageBytes) * FAILURE_BODY_FACTOR;
    }, failed),
  );
  app.post(
    "/watchdog",
    signed(
      () => CALL_BODY_LIMIT,
      (service) => service.watchdog.fire(),
    ),
  );
  app.post("/sweep", async (c) => {
    const service = serviceOf(c.env);
    const options = c.req.query("audit") === "true" ? { audit: true } : {};
    if (c.req.header("authorization") !== undefined) return bearer((found) => sweep(found.core, options))(c);
    return signed(
      () => CALL_BODY_LIMIT,
      () => sweep(service.core, options),
    )(c);
  });

  app.get(
    "/counts",
    operator((found) => found.log.counts()),
  );
  app.get(
    "/held",
    operator((found, c) => found.log.listHeld(pageOf(c))),
  );
  app.get(
    "/dead",
    operator((found, c) => found.log.listDead(pageOf(c))),
  );
  app.get(
    "/unconfirmed",
    operator((found, c) => found.unconfirmed(pageOf(c))),
  );
  app.get(
    "/transactions/:id",
    operator((found, c) => found.log.transaction(idOf(c))),
  );
  app.post(
    "/transactions/:id/commit",
    operator((found, c) => found.decide(idOf(c), "committed")),
  );
  app.post(
    "/transactions/:id/rollback",
    operator((found, c) => found.decide(idOf(c), "rolledBack")),
  );
  app.post(
    "/dead/:key/redrive",
    operator((found, c) => found.redrive(keyOf(c), { asNew: c.req.query("asNew") === "true" })),
  );
  app.post(
    "/dead/:key/discard",
    operator(async (found, c) => {
      await found.discard(keyOf(c));
      return { discarded: keyOf(c) };
    }),
  );
  return app;
}

/** A report that cannot be read, or is about a message that is not ours, is taken and told of: no retry would mend it. */
async function failed(service: Service, body: string, url: URL): Promise<unknown> {
  const { core, receiver } = service;
  const parsed = receiver!.parseFailure(body, url);
  if ("reason" in parsed) {
    core.emit({ type: "rejected", path: url.pathname, status: 200, reason: parsed.reason });
    return { recorded: "foreign" };
  }
  return { recorded: await recordFailure(core, parsed.letter) };
}

async function answered(service: Service, act: () => Promise<unknown>): Promise<Response> {
  try {
    return answer(200, await act());
  } catch (error) {
    if (!(error instanceof BadRequest)) service.core.emit({ type: "background", error });
    if (error instanceof BadRequest) return answer(400, { error: { code: "bad request", reason: error.message } });
    return AftercommitError.is(error) ? error.getResponse() : answer(500, { error: { code: "internal" } });
  }
}

/** A path or query that names nothing. */
class BadRequest extends Error {}

function idOf(c: Context): string {
  const id = c.req.param("id") ?? "";
  if (isTransactionId(id)) return id;
  throw new BadRequest("expected a transaction id");
}

function keyOf(c: Context): string {
  const key = c.req.param("key") ?? "";
  if (isDeliveryKey(key)) return key;
  throw new BadRequest("expected the key of a delivery");
}

function pageOf(c: Context): PageOptions {
  const cursor = c.req.query("cursor");
  const limit = Number(c.req.query("limit") ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > 500) throw new BadRequest("expected a limit from 1 to 500");
  if (cursor !== undefined && cursor.length > MAX_CURSOR_LENGTH) throw new BadRequest("expected a cursor of a page");
  return cursor === undefined ? { limit } : { limit, cursor };
}

/** Compares digests, so that neither length nor content of the token shows in the time it takes. */
async function hasBearer({ core, bearer }: Service, c: Context): Promise<boolean> {
  const given = /^Bearer (.+)$/.exec(c.req.header("authorization") ?? "")?.[1];
  if (bearer === undefined || given === undefined) return false;
  const [expected, found] = await Promise.all([core.crypto.digest(utf8(bearer)), core.crypto.digest(utf8(given))]);
  let difference = 0;
  for (const [i, byte] of expected.entries()) difference |= byte ^ found[i]!;
  return difference === 0;
}
