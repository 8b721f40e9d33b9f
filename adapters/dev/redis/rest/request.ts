import { fromBytes, fromText } from "../bytes.ts";

/** Upstash's limit for one request. */
export const MAX_REQUEST_BYTES: number = 10 * 1024 * 1024;

/** Thrown for a request that holds no command; the message goes into the body of the response. */
export class BadRequestError extends Error {
  override readonly name = "BadRequestError";
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** What a request asks for. */
export type RestCall =
  | { readonly kind: "command"; readonly args: readonly string[] }
  | { readonly kind: "pipeline" | "multi-exec"; readonly commands: readonly (readonly string[])[] };

const PATH_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT"]);
const decoder = new TextDecoder("utf-8");

/** Reads the command or commands of a request; throws {@link BadRequestError} if there are none. */
export async function readRestCall(request: Request): Promise<RestCall> {
  if (!PATH_METHODS.has(request.method)) throw new BadRequestError("ERR method not allowed", 405);
  const url = new URL(request.url);
  const body = await readBody(request);
  if (request.method === "POST") {
    if (url.pathname === "/") return { kind: "command", args: toCommand(parseJson(body)) };
    if (url.pathname === "/pipeline") return { kind: "pipeline", commands: toCommands(parseJson(body)) };
    if (url.pathname === "/multi-exec") return { kind: "multi-exec", commands: toCommands(parseJson(body)) };
  }
  const args = [...readPath(url.pathname), ...(body.length > 0 ? [fromBytes(body)] : []), ...readQuery(url)];
  if (args.length === 0) throw new BadRequestError("ERR empty command");
  return { kind: "command", args };
}

/** Reads the path's segments, as in `/set/key/value`. */
function readPath(path: string): string[] {
  const segments = path.split("/").slice(1);
  if (segments.at(-1) === "") segments.pop();
  try {
    return segments.map((segment) => fromText(decodeURIComponent(segment)));
  } catch (cause) {
    throw new BadRequestError(`ERR invalid path: ${cause instanceof Error ? cause.message : "cannot be decoded"}`);
  }
}

/** Reads query parameters as further words: `?EX=100&NX` is EX, 100, NX. */
function readQuery(url: URL): string[] {
  return [...url.searchParams]
    .filter(([name]) => name !== "_token")
    .flatMap(([name, value]) => (value === "" ? [name] : [name, value]))
    .map(fromText);
}

/** Reads the body, counting what really arrives. */
async function readBody(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_REQUEST_BYTES) {
      const actual = Math.max(length, Number(request.headers.get("content-length")) || 0);
      throw new BadRequestError(
        `ERR max request size exceeded. Limit: ${MAX_REQUEST_BYTES} bytes, Actual: ${actual} bytes`,
      );
    }
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch (cause) {
    throw new BadRequestError(`ERR failed to parse JSON: ${cause instanceof Error ? cause.message : "invalid"}`);
  }
}

function toCommands(value: unknown): string[][] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new BadRequestError("ERR expected a JSON array of commands");
  }
  return value.map(toCommand);
}

function toCommand(value: unknown): string[] {
  if (!Array.isArray(value)) throw new BadRequestError("ERR expected a JSON array of the command and its arguments");
  if (value.length === 0) throw new BadRequestError("ERR empty command");
  return value.map(toArgument);
}

function toArgument(value: unknown): string {
  if (typeof value === "string") return fromText(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new BadRequestError(`ERR expected a string, number or boolean as argument, found ${describe(value)}`);
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : "an object";
}
