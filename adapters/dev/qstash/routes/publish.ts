import { type ApiCall, isRecord, json, readJson, type Route } from "../api-call.ts";
import { ApiError } from "../api-error.ts";
import { configParameters, rawDestination } from "../destination.ts";
import type { Engine } from "../engine.ts";
import type { Prepared, PublishRequest, PublishResult } from "../publisher.ts";

const encoder = new TextEncoder();

/** Publishing: one message, one message through a queue, and many at once. */
export function publishRoutes(engine: Engine): readonly Route[] {
  const { publisher, queues } = engine;

  const prepare = (request: PublishRequest): Promise<Prepared> => {
    checkSize(request.body, engine.maxMessageBytes);
    if (request.origin?.queueName !== undefined) queues.getOrCreate(request.origin.queueName);
    return publisher.prepare(request);
  };

  const publish = async (request: PublishRequest): Promise<Response> => {
    const prepared = await prepare(request);
    const results = publisher.accept(prepared);
    const duplicate = results.length > 0 && results.every(({ deduplicated }) => deduplicated);
    return json(answer(prepared, results), duplicate ? 202 : 200);
  };

  const prepareItem = async (item: unknown): Promise<Prepared | ApiError> => {
    try {
      return await prepare(readItem(item));
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  };

  const batch = async (call: ApiCall): Promise<Response> => {
    const items = readJson(call);
    if (!Array.isArray(items)) throw new ApiError(400, "invalid body: expected a JSON array");
    const prepared = await Promise.all(items.map((item: unknown) => prepareItem(item)));
    const answers = prepared.map((item) =>
      item instanceof ApiError ? { error: item.message } : answer(item, publisher.accept(item)),
    );
    const allFailed = prepared.length > 0 && prepared.every((item) => item instanceof ApiError);
    return json(answers, allFailed ? 400 : 200);
  };

  return [
    {
      method: "POST",
      path: /^\/v2\/publish\/./,
      handle: (call) => publish(requestOf(call, "/v2/publish/")),
    },
    {
      method: "POST",
      path: /^\/v2\/enqueue\/([^/]+)\/./,
      handle: (call, queueName) => {
        const prefix = /^\/v2\/enqueue\/[^/]+\//.exec(call.path)?.[0] ?? "";
        return publish({ ...requestOf(call, prefix), origin: { queueName } });
      },
    },
    { method: "POST", path: /^\/v2\/batch$/, handle: batch },
  ];
}

/** The request that a call makes: destination behind `prefix`, configuration from headers and query. */
export function requestOf(call: ApiCall, prefix: string): PublishRequest {
  return { destination: rawDestination(call.url, prefix), headers: configHeaders(call), body: call.body };
}

/** The call's headers without our credentials, completed by the `upstash-*` parameters of its query. */
export function configHeaders({ headers, url }: ApiCall): Headers {
  const config = new Headers(headers);
  config.delete("authorization");
  for (const [name, value] of configParameters(url)) {
    if (!config.has(name)) config.set(name, value);
  }
  return config;
}

/** @throws ApiError 413 */
export function checkSize(body: Uint8Array, maxMessageBytes: number): void {
  if (body.length > maxMessageBytes) {
    throw new ApiError(413, `message body exceeds the limit of ${maxMessageBytes} bytes`);
  }
}

/** One object for a URL; for a URL group, an array with an entry for each endpoint. */
function answer({ toGroup }: Prepared, results: readonly PublishResult[]): unknown {
  return toGroup ? results : results[0];
}

function readItem(item: unknown): PublishRequest {
  if (!isRecord(item) || typeof item["destination"] !== "string") {
    throw new ApiError(400, "invalid batch item: expected an object with a destination");
  }
  const { destination, headers: given, body = "", queue } = item;
  if (typeof body !== "string") throw new ApiError(400, "invalid batch item: expected a string as body");
  const request = { destination, headers: readHeaders(given), body: encoder.encode(body) };
  return typeof queue === "string" && queue !== "" ? { ...request, origin: { queueName: queue } } : request;
}

function readHeaders(given: unknown): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(isRecord(given) ? given : {})) {
    try {
      headers.set(name, String(value));
    } catch {
      throw new ApiError(400, `invalid batch item: "${name}" is no valid header`);
    }
  }
  return headers;
}
