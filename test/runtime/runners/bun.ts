import { serve } from "aftercommit/bun";
import { ac, handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

declare const Bun: { readonly version: string };

const env = process.env as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
await serve({ fetch: (request) => handle(request, env) }, { ac, hostname, port: Number(port), sweepEvery: false });
console.log(`Bun ${Bun.version} ${origin}`);
