import type { ExecutionContext } from "hono";
import { CASES } from "./cases.ts";
import { createService } from "./service.ts";
import type { ScenarioEnv } from "./service.ts";
import { newStage } from "./stage.ts";

/** What came of a case. */
export interface Outcome {
  readonly name: string;
  /** What was expected and what was found, where the case does not hold. */
  readonly failure?: string;
  readonly millis: number;
}

const service = createService();

/** The service that the cases are tried on. */
export const { ac } = service;

/** Serves the service; and at `/_cases/:number` runs a case, in the runtime that it is called in. */
export async function handle(request: Request, env: ScenarioEnv, context?: ExecutionContext): Promise<Response> {
  const { pathname } = new URL(request.url);
  const number = /^\/_cases\/(\d+)$/.exec(pathname)?.[1];
  if (number === undefined) return service.app.fetch(request, env, context);
  const found = CASES[Number(number)];
  if (found === undefined) return new Response(null, { status: 404 });
  const startedAt = Date.now();
  const outcome = await found.run(newStage(env, ac)).then(
    () => ({}),
    (error: unknown) => ({ failure: String(error) }),
  );
  return Response.json({ name: found.name, ...outcome, millis: Date.now() - startedAt } satisfies Outcome);
}
