import { Miniflare } from "miniflare";
import { createTables } from "../../../examples/shop/d1-orders.ts";
import type { DevServer } from "../../../adapters/dev/index.ts";
import { findFreePort } from "../free-port.ts";
import { bundleWorker } from "./bundle.ts";

/** A D1 database as a Worker meets it. */
export type D1Database = Awaited<ReturnType<Miniflare["getD1Database"]>>;

/** A Worker in workerd, on a loopback port of its own. */
export interface WorkerProcess {
  readonly url: string;
  /** Its D1 database. */
  readonly database: D1Database;
  /** Reads from it. */
  query(sql: string): Promise<readonly unknown[]>;
  /** Fires the Cron Trigger, and waits for its end. */
  scheduled(): Promise<void>;
  stop(): Promise<void>;
}

export interface WorkerOptions {
  readonly entry: URL;
  readonly dev: DevServer;
  /** Where the Worker is told that Redis is. */
  readonly redisUrl?: string;
  readonly compatibilityFlags?: readonly string[];
}

/** The day whose behaviour the Worker gets. */
const COMPATIBILITY_DATE = "2026-07-01";

/** Starts a Worker with the embedded QStash and Redis in its bindings. */
export async function startWorker(options: WorkerOptions): Promise<WorkerProcess> {
  const { entry, dev, redisUrl = dev.redis.url, compatibilityFlags = [] } = options;
  const { code } = await bundleWorker(entry);
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: code }],
    host: "127.0.0.1",
    port,
    compatibilityDate: COMPATIBILITY_DATE,
    compatibilityFlags: [...compatibilityFlags],
    d1Databases: ["DB"],
    bindings: {
      PUBLIC_URL: url,
      SHOP_DEV: "true",
      UPSTASH_REDIS_REST_URL: redisUrl,
      UPSTASH_REDIS_REST_TOKEN: dev.redis.token,
      QSTASH_URL: dev.qstash.url,
      QSTASH_TOKEN: dev.qstash.token,
      QSTASH_CURRENT_SIGNING_KEY: dev.qstash.currentSigningKey,
      QSTASH_NEXT_SIGNING_KEY: dev.qstash.nextSigningKey,
    },
  });
  await miniflare.ready;
  const database = await miniflare.getD1Database("DB");
  await createTables(database);
  return {
    url,
    database,
    async query(sql) {
      return (await database.prepare(sql).all()).results;
    },
    async scheduled() {
      const worker = (await miniflare.getWorker()) as unknown as { scheduled(event: object): Promise<unknown> };
      await worker.scheduled({ cron: "* * * * *" });
    },
    stop: () => miniflare.dispose(),
  };
}
