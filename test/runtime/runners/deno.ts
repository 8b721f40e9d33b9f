import { handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

const env = Deno.env.toObject() as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
Deno.serve(
  { hostname, port: Number(port), onListen: () => console.log(`Deno ${Deno.version.deno} ${origin}`) },
  (request) => handle(request, env),
);
