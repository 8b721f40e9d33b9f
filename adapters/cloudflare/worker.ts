import type { Aftercommit } from "../../src/middleware/aftercommit.ts";

/** What a Worker's handlers are given besides their event, by shape. */
export interface ExecutionContextLike {
  /** Keeps a promise from being cut off when the response is out, for at most 30 seconds. */
  waitUntil(promise: Promise<unknown>): void;
  /** Hands the request on to the origin where the Worker throws. */
  passThroughOnException(): void;
}

/** What is used of the event of a Cron Trigger, by shape. */
export interface ScheduledControllerLike {
  /** The trigger's cron expression, as the configuration has it. */
  readonly cron: string;
  /** When it was due, in milliseconds since 1970. */
  readonly scheduledTime: number;
  /** Says that Cloudflare need not try this one again. */
  noRetry(): void;
}

/** What is used of the app: a Hono app has it. */
export interface AppLike<Env> {
  /** Answers a request. */
  fetch(request: Request, env: Env, context: ExecutionContextLike & { props: unknown }): Response | Promise<Response>;
}

/** A job of your own for a Cron Trigger. */
export type CronJob<Env> = (
  controller: ScheduledControllerLike,
  env: Env,
  context: ExecutionContextLike,
) => void | Promise<void>;

/** What a Worker does besides answering requests. */
export interface WorkerOptions<Env, Batch> {
  /**
   * What each Cron Trigger does, by its cron expression: a sweep, a sweep that also looks through the databases
   * (`"audit"`), or a job of your own. One that is not named here sweeps. @default every one sweeps
   */
  readonly crons?: Readonly<Record<string, "sweep" | "audit" | CronJob<Env>>>;
  /** Takes what comes out of queues: `queueHandler(ac)` of `aftercommit/cloudflare-queues`, or your own. @default none */
  readonly queue?: (batch: Batch, env: Env, context: ExecutionContextLike) => void | Promise<void>;
}

/** The handlers of a Worker: its default export. */
export interface WorkerHandlers<Env, Batch> {
  /** Answers requests. */
  fetch(request: Request, env: Env, context: ExecutionContextLike & { props: unknown }): Response | Promise<Response>;
  /** Sweeps, or does the job that the trigger is for. */
  scheduled(controller: ScheduledControllerLike, env: Env, context: ExecutionContextLike): Promise<void>;
  /** Takes what comes out of queues, where there is a handler for that. */
  queue?(batch: Batch, env: Env, context: ExecutionContextLike): void | Promise<void>;
}

/**
 * The handlers of a Worker, all of one configuration: requests go to the app, Cron Triggers to the sweep, what comes out of
 * queues to the handler that is given. The configuration is made of the bindings when the first of them is called, once
 * per environment.
 *
 * A sweep that fails is told to the observer, and fails the trigger, so that Cloudflare shows it; it is not tried again
 * before the next one is due.
 *
 * @example
 * ```ts
 * export default worker(app, ac, { crons: { "0 * * * *": "audit" }, queue: queueHandler(ac) });
 * ```
 */
export function worker<Env, Batch = never>(
  app: AppLike<NoInfer<Env>>,
  ac: Pick<Aftercommit<Env, never>, "scheduled">,
  options: WorkerOptions<Env, Batch> = {},
): WorkerHandlers<Env, Batch> {
  const { crons = {}, queue } = options;
  return {
    fetch: (request, env, context) => app.fetch(request, env, context),

    async scheduled(controller, env, context) {
      const job = Object.hasOwn(crons, controller.cron) ? crons[controller.cron] : undefined;
      if (typeof job === "function") return job(controller, env, context);
      controller.noRetry();
      await ac.scheduled(controller, env, context, job === "audit" ? { audit: true } : {});
    },

    ...(queue === undefined ? {} : { queue }),
  };
}
