import { settingsOf } from "../serving/options.ts";
import type { FetchApp, ServeOptions } from "../serving/options.ts";
import { processHost } from "../serving/process-host.ts";
import { trackRequests } from "../serving/requests.ts";
import { attend } from "../serving/server.ts";
import type { Server } from "../serving/server.ts";

/** What is used of a server of Bun, by shape. */
interface BunServer {
  readonly port: number;
  readonly pendingRequests: number;
  stop(cutOff?: boolean): Promise<void>;
}

/** What is used of Bun, by shape. */
interface BunLike {
  serve(options: { readonly fetch: (request: Request, server: BunServer) => Promise<Response> }): BunServer;
}

/** Bun's longest. After its own 10 s it would hang up on a request that is being handled. */
const IDLE_TIMEOUT_SECONDS = 255;

/**
 * Serves an app on Bun, sweeps for it now and then, and ends the process in good order when a signal comes: no more
 * requests are taken, those in flight end, what they publish goes out, and the process ends with code 0; with 1 where
 * something was left after `drainWithin`. A second signal ends it at once.
 *
 * `serverOptions` go to `Bun.serve`: `tls`, `idleTimeout` and others.
 *
 * @throws {ConfigurationError} where an option, or the service's own configuration, cannot work.
 * @throws the system's error where the address cannot be had.
 * @example
 * ```ts
 * import { serve } from "aftercommit/bun";
 *
 * await serve(app, { ac, port: 3000 });
 * ```
 */
export async function serve(app: FetchApp, options: ServeOptions): Promise<Server> {
  const { Bun } = globalThis as unknown as { readonly Bun?: BunLike };
  if (Bun === undefined) throw new TypeError(`Expected to run on Bun, found no "Bun".`);
  const settings = settingsOf(options);
  const tracked = trackRequests(app);
  const server = Bun.serve({
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    ...options.serverOptions,
    port: settings.port,
    ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    fetch: (request, self) => tracked.fetch(request, self),
  } as Parameters<BunLike["serve"]>[0]);
  const listener = {
    port: server.port,
    async stop() {
      await server.stop();
      await tracked.ended();
    },
    inFlight: () => Math.max(server.pendingRequests, tracked.running()),
    cut: () => void server.stop(true),
  };
  return attend(listener, options, settings, processHost);
}
