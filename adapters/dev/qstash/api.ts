import { type ApiCall, json, type Route } from "./api-call.ts";
import { ApiError, ReplyLostError } from "./api-error.ts";
import { readAtMost } from "./bytes.ts";
import type { Engine } from "./engine.ts";
import { dlqRoutes } from "./routes/dlq.ts";
import { eventRoutes } from "./routes/events.ts";
import { flowControlRoutes } from "./routes/flow-control.ts";
import { keyRoutes } from "./routes/keys.ts";
import { messageRoutes } from "./routes/messages.ts";
import { publishRoutes } from "./routes/publish.ts";
import { queueRoutes } from "./routes/queues.ts";
import { scheduleRoutes } from "./routes/schedules.ts";
import { topicRoutes } from "./routes/topics.ts";

/** A fault to inject into one API request. */
export interface Fault {
  /** The status to answer with, or `lost` to drop the reply: `fetch` rejects, the server cuts the connection. */
  readonly status: number | "lost";
  /** Headers of the answer, such as `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the request takes effect before the fault hides it. */
  readonly applied: boolean;
}

/** Asked before each API request: the fault to inject, or `undefined` for none. */
export type Faults = (request: Request, call: ApiCall) => Fault | undefined;

export interface ApiOptions {
  readonly engine: Engine;
  readonly token: string;
  readonly faults: Faults;
}

/** The largest request of all: a batch. */
const MAX_REQUEST_BYTES = 100 * 1024 * 1024;

/** The REST API as a function of a request. */
export function createApi({ engine, token, faults }: ApiOptions): (request: Request) => Promise<Response> {
  const routes: readonly Route[] = [
    ...publishRoutes(engine),
    ...messageRoutes(engine),
    ...queueRoutes(engine),
    ...scheduleRoutes(engine),
    ...topicRoutes(engine),
    ...dlqRoutes(engine),
    ...eventRoutes(engine),
    ...keyRoutes(engine),
    ...flowControlRoutes(engine),
  ];

  const route = async (call: ApiCall): Promise<Response> => {
    for (const { method, path, handle } of routes) {
      const match = method === call.method ? path.exec(call.path) : null;
      if (match !== null) return handle(call, ...match.slice(1).map(decode));
    }
    throw new ApiError(404, `no endpoint for ${call.method} ${call.path}`);
  };

  return async function handleRequest(request) {
    try {
      const call = await authenticate(request, token);
      const fault = faults(request, call);
      if (fault === undefined) return await route(call);
      if (fault.applied) await route(call).catch(toErrorResponse);
      if (fault.status === "lost") throw new ReplyLostError();
      return Response.json({ error: "injected fault" }, { status: fault.status, headers: fault.headers ?? {} });
    } catch (error) {
      if (error instanceof ReplyLostError) throw error;
      return toErrorResponse(error);
    }
  };
}

function toErrorResponse(error: unknown): Response {
  if (error instanceof ApiError) return json({ error: error.message }, error.status);
  return json({ error: `internal error: ${error instanceof Error ? error.message : String(error)}` }, 500);
}

async function authenticate(request: Request, token: string): Promise<ApiCall> {
  const { pathname, searchParams } = new URL(request.url);
  const bearer = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if ((bearer ?? searchParams.get("qstash_token")) !== token) {
    throw new ApiError(401, "unable to authenticate: invalid token");
  }
  const { bytes, truncated } = await readAtMost(request.body, MAX_REQUEST_BYTES);
  if (truncated) throw new ApiError(413, `request body exceeds the limit of ${MAX_REQUEST_BYTES} bytes`);
  return {
    method: request.method,
    url: request.url,
    path: pathname,
    query: searchParams,
    headers: request.headers,
    body: bytes,
  };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiError(400, `invalid path segment "${segment}"`);
  }
}
