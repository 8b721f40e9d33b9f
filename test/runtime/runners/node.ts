import { serve } from "@hono/node-server";
import { handle } from "../scenarios/entry.ts";
import type { ScenarioEnv } from "../scenarios/service.ts";

const env = process.env as unknown as ScenarioEnv;
const { hostname, port, origin } = new URL(env.PUBLIC_URL);
serve({ fetch: (request) => handle(request, env), hostname, port: Number(port) }, () => {
  console.log(`Node ${process.versions.node} ${origin}`);
});
