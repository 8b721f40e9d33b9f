import type { Host } from "../serving/server.ts";

/** What is used of a server of Deno, by shape. */
export interface DenoServer {
  readonly addr: object;
  shutdown(): Promise<void>;
}

/** What is used of what a handler is told of its request, by shape. */
export interface DenoRequestInfo {
  /** Resolves when the response is out, rejects where it could not be sent. */
  readonly completed: Promise<void>;
}

/** How often to run, as Deno has it: a cron expression in UTC, or an object. */
export type CronSchedule = string | object;

/** What is used of Deno, by shape. */
export interface DenoLike {
  serve(options: object, handler: (request: Request, info: DenoRequestInfo) => Promise<Response>): DenoServer;
  readonly cron?: (
    name: string,
    schedule: CronSchedule,
    options: { readonly backoffSchedule: readonly number[] },
    handler: () => Promise<void>,
  ) => Promise<void>;
  addSignalListener(signal: string, heard: () => void): void;
  removeSignalListener(signal: string, heard: () => void): void;
  exit(code: number): never;
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(permission: { readonly name: "env"; readonly variable: string }): { readonly state: string };
  };
}

/** Deno itself; looked up when it is needed, and not when this is imported. */
export function runtime(): DenoLike {
  const { Deno } = globalThis as unknown as { readonly Deno?: DenoLike };
  if (Deno === undefined) throw new TypeError(`Expected to run on Deno, found no "Deno".`);
  return Deno;
}

/** Whether this is Deno Deploy. A program that may not read its environment is not on it, and nobody is asked for leave. */
export function isOnDenoDeploy(deno: DenoLike): boolean {
  const variable = "DENO_DEPLOY";
  return deno.permissions.querySync({ name: "env", variable }).state === "granted" && deno.env.get(variable) === "true";
}

/** The process, as Deno has it. */
export const denoHost: Host = {
  onSignal(signal, heard) {
    runtime().addSignalListener(signal, heard);
    return () => runtime().removeSignalListener(signal, heard);
  },
  exit(code) {
    runtime().exit(code);
  },
};
