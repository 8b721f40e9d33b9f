/**
 * The development server: QStash and Upstash Redis on this machine, for the vendor's own SDKs.
 *
 * @module
 */
export * from "./qstash/index.ts";
export * from "./redis/index.ts";
export { type DevQStash, type DevRedis, type DevServer, type DevServerOptions, startDevServer } from "./server.ts";
