import { readFileSync } from "node:fs";
import { Miniflare } from "miniflare";
import type { MiniflareOptions } from "miniflare";
import { bundleWorker } from "./bundle.ts";
import type { D1Database } from "./worker-process.ts";

/** The Worker's operator. */
export const BEARER = "an operator's token of enough length";

/** A queue's consumer as wrangler.jsonc has it. */
interface WranglerConsumer {
  readonly queue: string;
  readonly max_batch_size?: number;
  readonly max_batch_timeout?: number;
  readonly max_retries?: number;
  readonly dead_letter_queue?: string;
}

/** What is used of wrangler.jsonc. */
export interface WranglerConfiguration {
  readonly main: string;
  readonly compatibility_date: string;
  readonly triggers: { readonly crons: readonly string[] };
  readonly d1_databases: readonly { readonly binding: string }[];
  readonly queues: {
    readonly producers: readonly { readonly binding: string; readonly queue: string }[];
    readonly consumers: readonly WranglerConsumer[];
  };
}

/** Reads a wrangler.jsonc whose comments have lines of their own; commas at the end of a list are fine. */
export function readWrangler(file: URL): WranglerConfiguration {
  const text = readFileSync(file, "utf8")
    .replaceAll(/^\s*\/\/.*$/gm, "")
    .replaceAll(/,(?=\s*[}\]])/g, "");
  return JSON.parse(text) as WranglerConfiguration;
}

/** The statements of a migration. */
export function statementsOf(file: URL): readonly string[] {
  return readFileSync(file, "utf8")
    .split(/;\s*(?:\n|$)/)
    .filter((statement) => statement.trim() !== "");
}

/** A Worker in workerd, with a D1 database and queues. */
export interface QueueWorker {
  readonly url: string;
  readonly miniflare: Miniflare;
  /** Its D1 database. */
  readonly database: D1Database;
  query<Row = Record<string, unknown>>(sql: string): Promise<readonly Row[]>;
  /** Fires a Cron Trigger; resolves to what workerd says of its end. */
  scheduled(cron?: string): Promise<{ readonly outcome: string; readonly noRetry: boolean }>;
  /** Calls an operator's route; resolves to what it answered. */
  operator<T>(method: "GET" | "POST", path: string): Promise<T>;
  post(path: string, body?: unknown): Promise<Response>;
  stop(): Promise<void>;
}

export interface QueueWorkerOptions {
  readonly entry: URL;
  readonly wrangler: WranglerConfiguration;
  readonly migrations: readonly URL[];
  readonly compatibilityFlags?: readonly string[];
  readonly bindings?: Record<string, string>;
  /** The folder in which D1 is kept. @default in memory */
  readonly folder?: string;
}

/** Starts a Worker as its wrangler.jsonc says, but that no batch waits to become full. */
export async function startQueueWorker(options: QueueWorkerOptions): Promise<QueueWorker> {
  const { entry, wrangler, migrations, compatibilityFlags = [], bindings = {}, folder } = options;
  const { code } = await bundleWorker(entry);
  const miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: code }],
    host: "127.0.0.1",
    port: 0,
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: [...compatibilityFlags],
    d1Databases: wrangler.d1_databases.map(({ binding }) => binding),
    ...(folder === undefined ? {} : { d1Persist: folder }),
    queueProducers: Object.fromEntries(wrangler.queues.producers.map(({ binding, queue }) => [binding, queue])),
    queueConsumers: Object.fromEntries(
      wrangler.queues.consumers.map(({ queue, max_batch_size, max_retries, dead_letter_queue }) => [
        queue,
        {
          ...(max_batch_size === undefined ? {} : { maxBatchSize: max_batch_size }),
          ...(max_retries === undefined ? {} : { maxRetries: max_retries }),
          ...(dead_letter_queue === undefined ? {} : { deadLetterQueue: dead_letter_queue }),
          maxBatchTimeout: 0,
        },
      ]),
    ),
    bindings: { OPERATOR_TOKEN: BEARER, ...bindings },
  } as MiniflareOptions);
  const url = (await miniflare.ready).href.replace(/\/$/, "");
  const database = await miniflare.getD1Database(wrangler.d1_databases[0]!.binding);
  for (const statement of migrations.flatMap(statementsOf)) await database.prepare(statement).run();
  return {
    url,
    miniflare,
    database,
    async query<Row>(sql: string) {
      return (await database.prepare(sql).all<Row>()).results;
    },
    async scheduled(cron = "* * * * *") {
      const found = (await miniflare.getWorker()) as unknown as {
        scheduled(event: object): Promise<{ outcome: string; noRetry: boolean }>;
      };
      return found.scheduled({ cron });
    },
    async operator<T>(method: string, path: string) {
      const headers = { authorization: `Bearer ${BEARER}` };
      const response = await fetch(`${url}/_aftercommit${path}`, { method, headers });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    },
    post: (path, body = {}) =>
      fetch(url + path, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    stop: () => miniflare.dispose(),
  };
}
