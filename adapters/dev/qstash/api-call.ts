import { ApiError } from "./api-error.ts";

/** A request to the API, authenticated and read. */
export interface ApiCall {
  /** In capitals. */
  readonly method: string;
  /** As it came: nothing decoded, no slashes merged. */
  readonly url: string;
  /** The path of the URL, not decoded. */
  readonly path: string;
  /** The query of the URL, decoded. */
  readonly query: URLSearchParams;
  /** All headers, the credentials among them. */
  readonly headers: Headers;
  /** The raw body. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** One endpoint; the groups of `path` are handed over decoded. */
export interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly handle: (call: ApiCall, ...parameters: string[]) => Response | Promise<Response>;
}

export function json(value: unknown, status = 200): Response {
  return Response.json(value, { status });
}

/** The answer of the endpoints that only do something. */
export function done(): Response {
  return new Response(null, { status: 200 });
}

/**
 * The body, which has to be a JSON object.
 *
 * @throws ApiError 400
 */
export function readObject(call: ApiCall): Record<string, unknown> {
  const value = readJson(call);
  if (!isRecord(value)) throw new ApiError(400, "invalid body: expected a JSON object");
  return value;
}

/** @throws ApiError 400 */
export function readJson({ body }: ApiCall): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new ApiError(400, "invalid body: expected JSON");
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
