import type { Context } from "hono";
import type { Core } from "../core/core.ts";

/** Work that goes on after a response. */
export interface Background {
  /**
   * Starts work now and keeps it from being cut off where the runtime can: by `waitUntil` on Workers, else by being
   * awaited in `drain`. Nothing depends on its end: what it leaves undone, a sweep does.
   */
  run(c: Context, core: Core, work: () => Promise<unknown>): void;
  /**
   * Keeps a request going although its client goes away: Workers would cut it off, at any await, and leave its
   * transaction undecided, or its message leased. Resolves and rejects as the request does.
   */
  keep<T>(c: Context, request: Promise<T>): Promise<T>;
  /** Resolves when all work that has been started has ended. */
  drain(): Promise<void>;
}

/** Makes the background of one service. */
export function background(): Background {
  const running = new Set<Promise<unknown>>();
  return {
    run(c, core, work) {
      const ended = work().catch((error: unknown) => core.emit({ type: "background", error }));
      const tracked: Promise<unknown> = ended.finally(() => running.delete(tracked));
      running.add(tracked);
      waitUntil(c)?.(tracked);
    },
    keep(c, request) {
      waitUntil(c)?.(request.catch(() => undefined));
      return request;
    },
    async drain() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}

/** Hono throws on platforms that have no execution context. */
function waitUntil(c: Context): ((promise: Promise<unknown>) => void) | undefined {
  try {
    const { executionCtx } = c;
    return (promise) => executionCtx.waitUntil(promise);
  } catch {
    return undefined;
  }
}
