export * from "./qstash/index.ts";
export { type DevServer, type DevServerOptions, startDevServer } from "./server.ts";
