import type { Context, Handler as HonoHandler } from "hono";
import { consume } from "../core/consume.ts";
import type { Databases } from "../core/database-types.ts";
import type { Message } from "../core/consume.ts";
import type { Consumption } from "../core/end-run.ts";
import { recordOf } from "../core/dead-letters.ts";
import { AftercommitError } from "../errors.ts";
import { parseEnvelope } from "../model/envelope.ts";
import type { Topic } from "../model/topic.ts";
import type { Background } from "./background.ts";
import type { Service } from "./configuration.ts";
import { answer, verifyRequest } from "./signed-request.ts";

/** How one consumer differs from the others. */
export interface ConsumerOptions<All extends Databases = Databases> {
  /** Its name in the inbox, unique among all services that share it; keep it when the route moves. @default the URL it is reached at */
  readonly name?: string;
  /** The database of `message.run` and `message.batch`, where the consumer's effect happens once. @default `inbox`, where that names one */
  readonly database?: keyof All & string;
}

/** What runs for each message; what it returns is kept as the outcome that duplicates are answered with. */
export type ConsumerHandler<Data, All extends Databases = Databases> = (
  message: Message<Data, All>,
  c: Context,
) => unknown;

/** Tells QStash that no retry can help: the delivery goes to the dead letters at once. */
const NON_RETRYABLE_STATUS = 489;
const NON_RETRYABLE_HEADER = "Upstash-NonRetryable-Error";

/** Makes the route handler of a consumer; `serviceOf` gives the service of a request's environment. */
export function consumerHandler<Data>(
  serviceOf: (env: unknown) => Service,
  after: Background,
  topic: Topic<unknown, Data>,
  handler: ConsumerHandler<Data>,
  options: ConsumerOptions = {},
): HonoHandler {
  return async function consumer(c) {
    const service = serviceOf(c.env);
    const { core } = service;
    const verified = await verifyRequest(c, service, core.settings.bodyLimitBytes);
    if (verified instanceof Response) return verified;
    const parsed = parseEnvelope(verified.body);
    if ("reason" in parsed)
      return answerFor(core.emit, c.req.path, { status: "dead", reason: `envelope: ${parsed.reason}` });
    if (options.name !== undefined) core.consumerNames.set(verified.subject, options.name);

    const hints = service.receiver!.hints(c.req.raw.headers);
    const shared = core.store !== undefined && hints.meta !== undefined;
    try {
      const record = shared
        ? await recordOf(core, { url: verified.url.href, body: verified.body, meta: hints.meta }, parsed.envelope)
        : undefined;
      const database = options.database ?? service.inboxDatabase;
      const arrival = {
        consumer: options.name ?? verified.subject,
        envelope: parsed.envelope,
        attempt: hints.attempt,
        ...(record === undefined ? {} : { record }),
        ...(database === undefined ? {} : { database }),
      };
      const consumption = await after.keep(
        c,
        consume(core, arrival, topic, (message) => handler(message, c)),
      );
      if (consumption.status === "ack" && consumption.afterwards !== undefined)
        after.run(c, core, consumption.afterwards);
      return answerFor(core.emit, c.req.path, consumption);
    } catch (error) {
      core.emit({ type: "background", error });
      if (AftercommitError.is(error)) return error.getResponse();
      return answer(500, { error: { code: "internal" } });
    }
  };
}

/** What a consumption looks like over HTTP. */
function answerFor(emit: Service["core"]["emit"], path: string, consumption: Consumption): Response {
  if (consumption.status === "ack") {
    return answer(200, {
      status: "done",
      duplicate: consumption.duplicate,
      outcome: JSON.parse(consumption.outcome) as unknown,
    });
  }
  const error = { reason: consumption.reason };
  if (consumption.status === "dead") {
    emit({ type: "rejected", path, status: NON_RETRYABLE_STATUS, reason: consumption.reason });
    return answer(NON_RETRYABLE_STATUS, { error }, { [NON_RETRYABLE_HEADER]: "true" });
  }
  const wait: Record<string, string> =
    consumption.afterMillis === undefined ? {} : { "retry-after": String(Math.ceil(consumption.afterMillis / 1_000)) };
  return answer(consumption.busy ? 503 : 500, { error }, wait);
}
