import type { Context } from "hono";
import { consume } from "../core/consume.ts";
import type { Message } from "../core/consume.ts";
import { databaseInbox } from "../core/databases.ts";
import { AftercommitError, ConfigurationError } from "../errors.ts";
import type { Background } from "../middleware/background.ts";
import type { Service } from "../middleware/configuration.ts";
import { answer, readBody, signedUrl } from "../middleware/signed-request.ts";
import type { Envelope } from "../model/envelope.ts";
import type { Topic } from "../model/topic.ts";
import type { BranchData } from "./branch-data.ts";
import type { BranchCall } from "./begin-branch.ts";
import { callsOf } from "./call-directly.ts";
import { CANCELLED } from "./gate.ts";
import { verifyWebhook } from "./webhook-signature.ts";

/** Who is called. */
export interface Called<Data> {
  readonly service: Service;
  readonly after: Background;
  readonly participant: string;
  /** Its name in the inbox. */
  readonly consumer: string;
  readonly database: string | undefined;
  readonly topic: Topic<unknown, BranchData<Data>>;
  handle(message: Message<BranchData<Data>>): Promise<unknown>;
}

/**
 * Answers a direct call: verifies it, then consumes it as a message that names the branch, so that it runs once at a time
 * and is done once. No store is reached by what is not signed; the body of a refusal says nothing.
 */
export async function answerCall<Data>(c: Context, called: Called<Data>): Promise<Response> {
  const { service, after, consumer, database } = called;
  const { core } = service;
  const verified = await verifiedCall(c, called);
  if (verified instanceof Response) return verified;
  const arrival = { consumer, envelope: envelopeOf(verified, called.topic.name), attempt: 1 };
  try {
    const consumption = await after.keep(
      c,
      consume(
        database === undefined ? core : { ...core, inbox: databaseInbox(core, database) },
        database === undefined ? arrival : { ...arrival, database },
        called.topic,
        (message) => called.handle(message),
      ),
    );
    if (consumption.status === "ack") {
      if (consumption.afterwards !== undefined) after.run(c, core, consumption.afterwards);
      if (consumption.outcome === CANCELLED) return refusal("the branch was cancelled");
      return answer(200, { status: "done", result: JSON.parse(consumption.outcome) as unknown });
    }
    if (consumption.status === "dead") return refusal(consumption.reason);
    const { busy, reason, afterMillis } = consumption;
    const wait: Record<string, string> =
      afterMillis === undefined ? {} : { "retry-after": String(Math.ceil(afterMillis / 1_000)) };
    return answer(busy || afterMillis !== undefined ? 503 : 500, { error: { reason } }, wait);
  } catch (error) {
    core.emit({ type: "background", error });
    return AftercommitError.is(error) ? error.getResponse() : answer(500, { error: { code: "internal" } });
  }
}

function refusal(reason: string): Response {
  return answer(409, { error: { code: "refused", reason } });
}

/** The call, where it is signed, and for this participant at this URL. */
async function verifiedCall<Data>(c: Context, called: Called<Data>): Promise<BranchCall<unknown> | Response> {
  const { core, publicUrl } = called.service;
  if (publicUrl === undefined) throw noPublicUrl();
  const path = c.req.path;
  const refuse = (status: number, reason: string, code: string): Response => {
    core.emit({ type: "rejected", path, status, reason });
    return answer(status, { error: { code } });
  };
  const body = await readBody(c.req.raw.body, core.settings.bodyLimitBytes);
  if (body === undefined)
    return refuse(413, `body larger than ${core.settings.bodyLimitBytes} bytes`, "body too large");
  const { headers } = c.req.raw;
  const verification = await verifyWebhook(core.crypto, callsOf(core).keys, { headers, body }, core.clock.now());
  if (!verification.verified) return refuse(401, verification.reason, "unauthorized");
  const call = parsed(body);
  if (call?.v !== 1) return refuse(400, "expected a call of version 1", "bad request");
  if (call.to !== signedUrl(publicUrl, c.req.url))
    return refuse(
      401,
      `signed for ${JSON.stringify(String(call.to).slice(0, 200))}, and not for this URL`,
      "unauthorized",
    );
  if (
    call.participant !== called.participant ||
    call.branch !== verification.id ||
    typeof call.source !== "string" ||
    !isTime(call.at)
  )
    return refuse(400, "expected a branch of this participant", "bad request");
  return call as BranchCall<unknown>;
}

function noPublicUrl(): ConfigurationError {
  const expected = "the URL that calls are signed for";
  const remedy = "Set it to the URL under which this service is reached.";
  return new ConfigurationError([{ path: "publicUrl", expected, found: "nothing", remedy }]);
}

function isTime(at: unknown): boolean {
  return typeof at === "number" && !Number.isNaN(new Date(at).getTime());
}

function parsed(body: Uint8Array): Partial<BranchCall<unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A call as a message: its branch is what it is remembered by. */
function envelopeOf(call: BranchCall<unknown>, type: string): Envelope {
  const { transaction, branch, at, data, source, traceparent, tracestate } = call;
  return {
    specversion: "1.0",
    id: branch,
    source,
    type,
    time: new Date(at).toISOString(),
    datacontenttype: "application/json",
    transactionid: transaction,
    messageindex: 0,
    ...(typeof traceparent === "string" ? { traceparent } : {}),
    ...(typeof tracestate === "string" ? { tracestate } : {}),
    data: { transaction, branch, at, data },
  };
}
