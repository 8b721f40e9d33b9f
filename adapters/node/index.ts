/**
 * Serving on Node: requests, sweeps, and an end in good order.
 *
 * @module
 */
export { serve } from "./serve.ts";
export { DEFAULT_DRAIN_WITHIN, DEFAULT_PORT, DEFAULT_SIGNALS, DEFAULT_SWEEP_EVERY } from "../serving/options.ts";
export type { FetchApp, ServeOptions, ServiceLike } from "../serving/options.ts";
export type { Server } from "../serving/server.ts";
export type { ShutdownReport } from "../serving/shutdown.ts";
