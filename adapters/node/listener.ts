import { once } from "node:events";
import type { Server, ServerResponse } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { TrackedApp } from "../serving/requests.ts";
import type { Listener } from "../serving/shutdown.ts";

/** Where and how to listen. */
export interface ListenOptions {
  readonly port: number;
  readonly hostname: string | undefined;
  readonly serverOptions: object;
}

/**
 * Listens with @hono/node-server.
 *
 * @throws the system's error where the address cannot be had.
 */
export async function listenOnNode(app: TrackedApp, options: ListenOptions): Promise<Listener> {
  const { port, hostname, serverOptions } = options;
  const server = createAdaptorServer({
    ...serverOptions,
    ...(hostname === undefined ? {} : { hostname }),
    fetch: (request, env) => app.fetch(request, env),
  }) as Server;
  const responses = new Set<ServerResponse>();
  let closing = false;
  let lastEnded = (): void => undefined;

  // Ahead of the one that answers.
  server.prependListener("request", (_, response: ServerResponse) => {
    responses.add(response);
    if (closing) endConnectionAfter(response);
    response.once("close", () => {
      responses.delete(response);
      if (responses.size === 0) lastEnded();
    });
  });
  server.listen(port, hostname);
  await once(server, "listening");
  const address = server.address();

  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    async stop() {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Else a client that keeps its connection would send the next request on it, or keep the server open.
      for (const response of responses) endConnectionAfter(response);
      // While one of them is waited for, another connection may still bring one.
      while (responses.size > 0 || app.running() > 0) {
        if (responses.size > 0) await new Promise<void>((resolve) => (lastEnded = resolve));
        await app.ended();
      }
      // What is left are connections without a whole request: there is nothing to wait for.
      server.closeAllConnections();
      await closed;
    },
    inFlight: () => Math.max(responses.size, app.running()),
    cut: () => server.closeAllConnections(),
  };
}

function endConnectionAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("connection", "close");
}
