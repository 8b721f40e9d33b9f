import { settingsOf } from "../serving/options.ts";
import type { FetchApp, ServeDefaults, ServeOptions } from "../serving/options.ts";
import { trackRequests } from "../serving/requests.ts";
import { attend } from "../serving/server.ts";
import type { Server } from "../serving/server.ts";
import { hasCron } from "./cron.ts";
import { denoHost, isOnDenoDeploy, runtime } from "./runtime.ts";

/** Deno Deploy sends SIGINT, and kills 5 s later. */
const DEPLOY_DRAIN_WITHIN = "4s";

/**
 * Serves an app on Deno, sweeps for it now and then, and ends the process in good order when a signal comes: no more
 * requests are taken, those in flight end, what they publish goes out, and the process ends with code 0; with 1 where
 * something was left after `drainWithin`. A second signal ends it at once.
 *
 * It sweeps by a timer, unless `cron` does, or this is Deno Deploy, which stops an app that has no requests and its timers
 * with it: call `cron` there. On Deno Deploy `drainWithin` is 4 s by default, as it kills after 5.
 *
 * `serverOptions` go to `Deno.serve`: `key`, `cert` and others.
 *
 * @throws {ConfigurationError} where an option, or the service's own configuration, cannot work.
 * @throws the system's error where the address cannot be had.
 * @example
 * ```ts
 * import { cron, serve } from "aftercommit/deno";
 *
 * cron(ac, { schedule: "* * * * *" });
 * await serve(app, { ac, port: 3000 });
 * ```
 */
export async function serve(app: FetchApp, options: ServeOptions): Promise<Server> {
  const deno = runtime();
  const onDeploy = isOnDenoDeploy(deno);
  const defaults: ServeDefaults = {
    ...(onDeploy || hasCron(options.ac) ? { sweepEvery: false } : {}),
    ...(onDeploy ? { drainWithin: DEPLOY_DRAIN_WITHIN } : {}),
  };
  const settings = settingsOf(options, defaults);
  const tracked = trackRequests(app);
  let sending = 0;
  const server = deno.serve(
    {
      onListen: () => undefined,
      ...options.serverOptions,
      port: settings.port,
      ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    },
    (request, info) => {
      sending++;
      const sent = (): void => void sending--;
      info.completed.then(sent, sent);
      return tracked.fetch(request, info);
    },
  );
  const listener = {
    port: (server.addr as { readonly port?: number }).port ?? settings.port,
    async stop() {
      await server.shutdown();
      await tracked.ended();
    },
    inFlight: () => Math.max(sending, tracked.running()),
    // Deno has no way to cut off what its shutdown waits for; the end of the process does.
    cut: () => undefined,
  };
  return attend(listener, options, settings, denoHost);
}
