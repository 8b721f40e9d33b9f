import { serve } from "aftercommit/deno";
import { ac, handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

const env = Deno.env.toObject() as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
await serve({ fetch: (request) => handle(request, env) }, { ac, hostname, port: Number(port), sweepEvery: false });
console.log(`Deno ${Deno.version.deno} ${origin}`);
