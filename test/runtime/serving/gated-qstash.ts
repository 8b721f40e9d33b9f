import { onTestFinished } from "vitest";
import { startDevServer } from "../../../adapters/dev/index.ts";
import type { DevServer } from "../../../adapters/dev/index.ts";
import { listenOnLoopback } from "../../../adapters/dev/loopback-server.ts";

/** The embedded QStash and Redis, and a gate before QStash that can hold what is published. */
export interface GatedQStash {
  readonly dev: DevServer;
  /** Where programs are told that QStash is. */
  readonly url: string;
  /** From now on holds what is published; the promise resolves when something is held. */
  hold(): Promise<void>;
  /** Lets through what is held, and what comes. */
  open(): void;
  /** Loses what is held, and lets through what comes. */
  drop(): void;
  /** What a program needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts both; they end with the test. */
export async function startGatedQStash(): Promise<GatedQStash> {
  const dev = await startDevServer({ qstash: { retriesLimit: 20 } });
  onTestFinished(() => dev.close());
  let passed: Promise<void> = Promise.resolve();
  let open = (): void => undefined;
  let drop = (): void => undefined;
  let held = (): void => undefined;
  const gate = await listenOnLoopback(async (request) => {
    const { pathname } = new URL(request.url);
    if (/^\/v2\/(publish|batch|enqueue)\b/.test(pathname)) {
      held();
      await passed;
    }
    return dev.qstash.engine.fetch(request);
  });
  onTestFinished(() => gate.close());
  onTestFinished(() => open());
  return {
    dev,
    url: gate.url,
    hold() {
      passed = new Promise((resolve, reject) => {
        open = resolve;
        drop = () => reject(new Error("lost at the gate"));
      });
      passed.catch(() => undefined);
      return new Promise((resolve) => (held = resolve));
    },
    open: () => open(),
    drop() {
      drop();
      passed = Promise.resolve();
    },
    env: {
      UPSTASH_REDIS_REST_URL: dev.redis.url,
      UPSTASH_REDIS_REST_TOKEN: dev.redis.token,
      QSTASH_URL: gate.url,
      QSTASH_TOKEN: dev.qstash.token,
      QSTASH_CURRENT_SIGNING_KEY: dev.qstash.currentSigningKey,
      QSTASH_NEXT_SIGNING_KEY: dev.qstash.nextSigningKey,
    },
  };
}
