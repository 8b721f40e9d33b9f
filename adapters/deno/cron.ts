import type { ServiceLike } from "../serving/options.ts";
import { runtime } from "./runtime.ts";
import type { CronSchedule } from "./runtime.ts";

/** How a cron sweeps. */
export interface CronOptions {
  /** How often, in UTC: a cron expression, or an object as `Deno.cron` takes it. @default DEFAULT_CRON_SCHEDULE */
  readonly schedule?: CronSchedule | undefined;
  /** The name under which it is listed. @default DEFAULT_CRON_NAME */
  readonly name?: string | undefined;
}

/** Every minute, as often as a cron can. */
export const DEFAULT_CRON_SCHEDULE = "* * * * *";
/** The name under which the sweep is listed. */
export const DEFAULT_CRON_NAME = "aftercommit-sweep";

const swept = new WeakSet<ServiceLike>();

/**
 * Has `Deno.cron` sweep. Call it at the top level of a module and before the server starts: Deno Deploy looks for crons
 * there, once per deployment. Runs do not overlap, and one that fails is reported; the next one does its work.
 *
 * Where there is no `Deno.cron` (outside of Deno Deploy it is behind `--unstable-cron`) it says so on the console, and
 * `serve` sweeps by a timer instead.
 *
 * @returns whether there is a `Deno.cron`.
 * @example
 * ```ts
 * import { cron, serve } from "aftercommit/deno";
 *
 * cron(ac);
 * await serve(app, { ac });
 * ```
 */
export function cron(ac: ServiceLike, options: CronOptions = {}): boolean {
  const { schedule = DEFAULT_CRON_SCHEDULE, name = DEFAULT_CRON_NAME } = options;
  const deno = runtime();
  if (deno.cron === undefined) {
    console.warn(`There is no Deno.cron for "${name}": run with --unstable-cron, or leave the sweeps to serve().`);
    return false;
  }
  // Tried again by the schedule alone: a sweep that fails because something is down would fail again at once.
  const registered = deno.cron(name, schedule, { backoffSchedule: [] }, async () => {
    await ac.operator().sweep();
  });
  // It resolves when the cron is ended, which it never is.
  registered.catch((error: unknown) => console.error(error));
  swept.add(ac);
  return true;
}

/** Whether a cron sweeps for this service. */
export function hasCron(ac: ServiceLike): boolean {
  return swept.has(ac);
}
