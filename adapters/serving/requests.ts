import type { FetchApp } from "./options.ts";

/** An app that knows how many of its requests are being handled, whether their clients still wait or not. */
export interface TrackedApp {
  /** Answers a request. */
  fetch(request: Request, env: unknown): Promise<Response>;
  /** How many are being handled. */
  running(): number;
  /** Resolves when none is. */
  ended(): Promise<void>;
}

/** Counts the requests of an app. */
export function trackRequests(app: FetchApp): TrackedApp {
  let running = 0;
  let waiting: (() => void)[] = [];
  return {
    async fetch(request, env) {
      running++;
      try {
        return await app.fetch(request, env as never);
      } finally {
        running--;
        if (running === 0) {
          for (const resolve of waiting) resolve();
          waiting = [];
        }
      }
    },
    running: () => running,
    ended: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
