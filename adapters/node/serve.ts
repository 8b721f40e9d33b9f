import { settingsOf } from "../serving/options.ts";
import type { FetchApp, ServeOptions } from "../serving/options.ts";
import { processHost } from "../serving/process-host.ts";
import { trackRequests } from "../serving/requests.ts";
import { attend } from "../serving/server.ts";
import type { Server } from "../serving/server.ts";
import { listenOnNode } from "./listener.ts";

/**
 * Serves an app on Node through @hono/node-server, sweeps for it now and then, and ends the process in good order when a
 * signal comes: no more requests are taken, those in flight end, what they publish goes out, and the process ends with
 * code 0; with 1 where something was left after `drainWithin`. A second signal ends it at once. Resolves when it listens.
 *
 * `serverOptions` go to @hono/node-server: `{ createServer, serverOptions: { key, cert } }` of node:https, for one.
 *
 * @throws {ConfigurationError} where an option, or the service's own configuration, cannot work.
 * @throws the system's error where the address cannot be had.
 * @example
 * ```ts
 * import { serve } from "aftercommit/node";
 *
 * await serve(app, { ac, port: 3000, release: () => pool.end() });
 * ```
 */
export async function serve(app: FetchApp, options: ServeOptions): Promise<Server> {
  const settings = settingsOf(options);
  const listener = await listenOnNode(trackRequests(app), {
    port: settings.port,
    hostname: options.hostname,
    serverOptions: options.serverOptions ?? {},
  });
  return attend(listener, options, settings, processHost);
}
