import { serve } from "aftercommit/node";
import { ac, handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

const env = process.env as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
await serve({ fetch: (request) => handle(request, env) }, { ac, hostname, port: Number(port), sweepEvery: false });
console.log(`Node ${process.versions.node} ${origin}`);
