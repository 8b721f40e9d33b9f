/**
 * Serving on Deno and Deno Deploy: requests, sweeps by cron or timer, and an end in good order.
 *
 * @module
 */
export { serve } from "./serve.ts";
export { DEFAULT_DRAIN_WITHIN, DEFAULT_PORT, DEFAULT_SIGNALS, DEFAULT_SWEEP_EVERY } from "../serving/options.ts";
export type { FetchApp, ServeOptions, ServiceLike } from "../serving/options.ts";
export type { Server } from "../serving/server.ts";
export type { ShutdownReport } from "../serving/shutdown.ts";
export { cron, DEFAULT_CRON_NAME, DEFAULT_CRON_SCHEDULE } from "./cron.ts";
export type { CronOptions } from "./cron.ts";
export type { CronSchedule } from "./runtime.ts";
