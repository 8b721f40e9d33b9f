import { Hono } from "hono";
import type { Context } from "hono";
import type { Core } from "../core/core.ts";
import type { Message } from "../core/consume.ts";
import { ConfigurationError, FatalError, RetryableError } from "../errors.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import type { Service } from "../middleware/configuration.ts";
import { internalsOf } from "../middleware/internals.ts";
import { answer, readBody } from "../middleware/signed-request.ts";
import { isLoopback, resolveDestination } from "../model/destination.ts";
import { parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import type { MaybePromise } from "../ports/crypto.ts";
import type { Notification, NotificationData } from "./notification.ts";
import { parseWebhookSecret, signWebhook, verifyWebhook } from "./webhook-signature.ts";

/** How notifications are delivered, and what their receivers may ask. */
export interface NotificationRoutesOptions {
  /**
   * The secrets shared with the receiver at a URL, `whsec_…`: what is sent to it is signed with the first, what it asks may
   * be signed with any. Each receiver should have its own.
   */
  readonly secrets: (to: string, c: Context) => MaybePromise<readonly string[]>;
  /**
   * Told when a notification has ended without having arrived, before that is final; perhaps more than once. Keep it with
   * the business data for people to see.
   */
  readonly ended?: (end: EndedNotification, c: Context) => unknown;
  /** Answers a receiver that asks for itself: what is so now, as JSON; `undefined` for 404. Without it nobody may ask. */
  readonly outcome?: (question: NotificationQuestion, c: Context) => unknown;
  /** How long a receiver may take to answer. @default "15s" */
  readonly timeout?: Duration;
  /** Makes HTTP requests. @default the runtime's */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** A notification that will not be tried any more. */
export interface EndedNotification {
  /** Its message id, which the receiver knows as `webhook-id`. */
  readonly id: string;
  /** The kind of notification. */
  readonly type: string;
  /** The receiver's URL. */
  readonly to: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** What the last attempt came to: a status, or that there was no answer. */
  readonly found: string;
}

/** What a receiver asks. */
export interface NotificationQuestion {
  /** The receiver's own URL, which its secret belongs to. */
  readonly to: string;
  /** What it asks about, in the words that both sides know: the id of an order, say. */
  readonly about: string;
}

const DEFAULT_TIMEOUT_MILLIS = 15_000;
const MAX_QUESTION_BYTES = 16_384;
/** The receiver is there no more. Source: Standard Webhooks 1.0. */
const GONE = 410;

/**
 * The routes that deliver notifications, to be mounted where `routes` of their names lead: `POST /<name>` for the transport,
 * which calls it at each attempt; and `POST /outcome`, signed, for receivers that ask.
 *
 * Each attempt is a POST of `{ type, timestamp, data }`, signed for its own moment as a Standard Webhook. 2xx is an arrival;
 * 410, and the failure of the last attempt, are the end: nothing more is sent, and nothing is dead.
 *
 * @throws {ConfigurationError} where the service cannot consume, or a name is taken.
 * @example
 * ```ts
 * app.route("/notifications", notificationRoutes(ac, [orderPaid], { secrets: (to) => partners.secretsOf(to) }));
 * ```
 */
export function notificationRoutes(
  ac: Pick<Aftercommit, "consumer">,
  // A notification of any data: what its schema made of them goes out as JSON.
  kinds: readonly Pick<Notification, "name" | "schema" | "options" | "retries">[],
  options: NotificationRoutesOptions,
): Hono {
  const { serviceOf } = internalsOf(ac);
  const timeoutMillis = options.timeout === undefined ? DEFAULT_TIMEOUT_MILLIS : parseDuration(options.timeout);
  if (timeoutMillis === undefined || timeoutMillis <= 0)
    throw wrong("timeout", String(options.timeout), 'Write "15s".');
  const app = new Hono();
  for (const kind of kinds) {
    app.post(
      `/${kind.name}`,
      ac.consumer(
        kind as Notification,
        (message, c) => attempt(message, c, { service: serviceOf(c.env), options, timeoutMillis }),
        { name: `notification.${kind.name}` },
      ),
    );
  }
  app.post("/outcome", (c) => tell(c, serviceOf(c.env), options));
  return app;
}

interface Delivering {
  readonly service: Service;
  readonly options: NotificationRoutesOptions;
  readonly timeoutMillis: number;
}

/** What is kept as the message's outcome. */
type NotificationState = { readonly state: "delivered" } | ({ readonly state: "ended" } & EndedNotification);

async function attempt(
  message: Message<NotificationData<unknown>>,
  c: Context,
  delivering: Delivering,
): Promise<NotificationState> {
  const { service, options } = delivering;
  const { to, retries } = message.data;
  const refusal = refusalOf(service, to);
  if (refusal !== undefined) throw new FatalError(`the receiver's URL: ${refusal}`);
  const found = await send(message, await keysFor(to, c, options), delivering);
  if (found === "arrived") return { state: "delivered" };
  if (found !== `status ${GONE}` && message.attempt <= retries) throw new RetryableError(`the receiver: ${found}`);
  const end: EndedNotification = { id: message.id, type: message.topic, to, attempts: message.attempt, found };
  await options.ended?.(end, c);
  service.core.emit({ type: "ended", messageId: end.id, topic: end.type, attempts: end.attempts, reason: found });
  return { state: "ended", ...end };
}

/** One attempt: that it arrived, or what was found instead. */
async function send(
  message: Message<NotificationData<unknown>>,
  keys: readonly Uint8Array[],
  { service: { core }, options, timeoutMillis }: Delivering,
): Promise<string> {
  const body = JSON.stringify({
    type: message.topic,
    timestamp: message.time.toISOString(),
    data: message.data.data,
  });
  const signature = await signWebhook(core.crypto, keys[0]!, { id: message.id, at: core.clock.now(), body });
  const answered = new AbortController();
  const cut = new AbortController();
  const late = core.clock.sleep(timeoutMillis, answered.signal).then(() => {
    cut.abort("late");
    return `no answer within ${timeoutMillis} ms`;
  });
  try {
    return await Promise.race([post(message.data.to, body, signature, cut.signal, options), late]);
  } finally {
    answered.abort("answered");
  }
}

async function post(
  to: string,
  body: string,
  signature: Readonly<Record<string, string>>,
  signal: AbortSignal,
  { fetch: call = (url, init) => fetch(url, init) }: NotificationRoutesOptions,
): Promise<string> {
  try {
    const headers = { "content-type": "application/json", ...signature };
    // Where it leads to was never looked at: a redirect is no arrival.
    const response = await call(to, { method: "POST", headers, body, redirect: "manual", signal });
    await response.body?.cancel();
    return response.ok ? "arrived" : `status ${response.status}`;
  } catch {
    return "no answer";
  }
}

/** Why a URL is not called: it is asked of the outside, and must not lead inside. */
function refusalOf({ publicUrl }: Service, to: string): string | undefined {
  const dev = publicUrl !== undefined && isLoopback(publicUrl);
  const resolved = resolveDestination(to, { publicUrl: undefined, dev, path: "to" });
  return "problem" in resolved ? `expected ${resolved.problem.expected}` : undefined;
}

async function keysFor(to: string, c: Context, { secrets }: NotificationRoutesOptions): Promise<readonly Uint8Array[]> {
  const keys = (await secrets(to, c)).map((secret) => parseWebhookSecret(secret));
  if (keys.length > 0 && keys.every((key) => key !== undefined)) return keys;
  const remedy = "Make one for each receiver: `whsec_${randomBytes(32).toString('base64')}`.";
  throw wrong("secrets", keys.length === 0 ? "none for a receiver" : "another text", remedy);
}

/** Answers a receiver that asks. */
async function tell(c: Context, { core }: Service, options: NotificationRoutesOptions): Promise<Response> {
  const { outcome } = options;
  if (outcome === undefined) return answer(404, { error: { code: "not found" } });
  const body = await readBody(c.req.raw.body, MAX_QUESTION_BYTES);
  if (body === undefined) return refuse(c, core, 413, "a question that is too long");
  const question = questionOf(body);
  if (question === undefined) return refuse(c, core, 400, 'expected { "to": "…", "about": "…" }');
  const keys = await keysFor(question.to, c, options).catch(() => []);
  const verification = await verifyWebhook(core.crypto, keys, { headers: c.req.raw.headers, body }, core.clock.now());
  if (!verification.verified) return refuse(c, core, 401, verification.reason);
  const found = await outcome(question, c);
  return found === undefined ? answer(404, { error: { code: "not found" } }) : answer(200, found);
}

function refuse(c: Context, core: Core, status: number, reason: string): Response {
  core.emit({ type: "rejected", path: c.req.path, status, reason });
  return answer(status, { error: { code: status === 401 ? "signature" : "question" } });
}

function questionOf(body: Uint8Array): NotificationQuestion | undefined {
  try {
    const { to, about } = JSON.parse(new TextDecoder().decode(body)) as Partial<NotificationQuestion>;
    return typeof to === "string" && typeof about === "string" ? { to, about } : undefined;
  } catch {
    return undefined;
  }
}

function wrong(name: string, found: string, remedy: string): ConfigurationError {
  const expected = name === "secrets" ? '"whsec_" and the base64 of 24 to 64 random bytes' : "a duration";
  return new ConfigurationError([{ path: `notificationRoutes.${name}`, expected, found, remedy }]);
}
