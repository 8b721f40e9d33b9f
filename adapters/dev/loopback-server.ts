import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";

/** Answers a request. A rejection cuts the connection: the caller never learns what happened. */
export type Handler = (request: Request) => Promise<Response>;

export interface LoopbackServer {
  /** `http://127.0.0.1:PORT`, without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Stops listening and cuts every connection, idle or not. */
  readonly close: () => Promise<void>;
}

const HOST = "127.0.0.1";
const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Serves `handler` over HTTP on 127.0.0.1, for programs on this machine and for no web page: the `Host` header must
 * name this server (else a page could rebind its own name to 127.0.0.1), a request that a browser marks as coming from
 * another origin is refused, and it sends no CORS headers.
 *
 * @param port 0 for any free port
 */
export async function listenOnLoopback(handler: Handler, port = 0): Promise<LoopbackServer> {
  let hosts: ReadonlySet<string> = new Set();
  const server = createServer((incoming, outgoing) => {
    const refusal = refuse(incoming, hosts);
    if (refusal === undefined) void answer(handler, incoming, outgoing);
    else send(outgoing, 403, refusal);
  });
  const bound = await listen(server, port);
  hosts = new Set(LOOPBACK_NAMES.map((name) => `${name}:${bound}`));
  return {
    url: `http://${HOST}:${bound}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function refuse({ headers }: IncomingMessage, hosts: ReadonlySet<string>): string | undefined {
  const host = headers.host?.toLowerCase() ?? "";
  if (!hosts.has(host)) return `expected a loopback host, found "${host}"`;
  const { origin, "sec-fetch-site": site } = headers;
  const fromElsewhere = origin !== undefined && origin !== `http://${host}`;
  const crossSite = site === "cross-site" || site === "same-site";
  return fromElsewhere || crossSite ? "requests from web pages of other origins are refused" : undefined;
}

async function answer(handler: Handler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  try {
    const request = toRequest(incoming, gone.signal);
    if (request === undefined) send(outgoing, 400, "expected a path as request target");
    else await write(await handler(request), outgoing);
  } catch {
    outgoing.destroy();
  }
}

/** The path goes in as it came: nothing may merge its slashes or decode it. */
function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const { url = "", method = "GET", headers } = incoming;
  if (!url.startsWith("/")) return undefined;
  const hasBody = method !== "GET" && method !== "HEAD";
  const list = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
  );
  return new Request(`http://${headers.host}${url}`, {
    method,
    headers: list,
    signal,
    ...(hasBody ? { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: "half" as const } : {}),
  });
}

async function write(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, [...response.headers].flat());
  if (response.body === null) {
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  // Streams such as server-sent events show their headers before their first bytes.
  outgoing.flushHeaders();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.end();
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      outgoing.off("drain", settle);
      outgoing.off("close", settle);
      resolve();
    };
    outgoing.on("drain", settle);
    outgoing.on("close", settle);
  });
}

function send(outgoing: ServerResponse, status: number, error: string): void {
  outgoing.writeHead(status, { "content-type": "application/json" });
  outgoing.end(JSON.stringify({ error }));
}
