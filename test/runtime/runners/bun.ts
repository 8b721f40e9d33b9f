import { handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

declare const Bun: {
  readonly version: string;
  serve(options: { hostname: string; port: number; idleTimeout: number; fetch(request: Request): unknown }): unknown;
};

const env = process.env as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
Bun.serve({ hostname, port: Number(port), idleTimeout: 60, fetch: (request) => handle(request, env) });
console.log(`Bun ${Bun.version} ${origin}`);
