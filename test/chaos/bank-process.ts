/** One process of the bank: a producer, a consumer or a sweeper, by its environment; it says what it does on its output. */
import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";
import { Client } from "@upstash/qstash";
import { qstash } from "aftercommit/qstash";
import { redis } from "aftercommit/redis";
import { Pool } from "pg";
import { createClient } from "redis";
import { createBank, NAMESPACE } from "./bank.ts";
import type { Order } from "./bank.ts";
import { ACCOUNTS } from "./books.ts";
import { faultPoints } from "./faults.ts";
import type { Setting } from "./members.ts";
import { parseFault } from "./points.ts";

const setting = JSON.parse(process.env["BANK"]!) as Setting;
const { role, port } = setting;
/** How many transfers a producer makes at a time, and the longest pause after each. */
const CONCURRENCY = 8;
const LONGEST_PAUSE_MILLIS = 300;
const SWEEP_EVERY_MILLIS = 300;
/** The shares of transfers that are refused in the end, and that have a message for that case. */
const REFUSED = 0.15;
const COMPENSATES = 0.25;

/** Says something at once: the next moment may be this process's last. */
const say = (fact: object): void => void writeSync(1, `${JSON.stringify(fact)}\n`);

const pool = new Pool({ connectionString: setting.postgresUrl, max: 12, connectionTimeoutMillis: 2_000 });
// The loss of an idle connection is nobody's news.
pool.on("error", () => undefined);
const client = createClient({
  url: setting.redisUrl,
  disableOfflineQueue: true,
  socket: { reconnectStrategy: () => 50 },
});
client.on("error", () => undefined);
client.connect().catch(() => undefined);

const url = (of: number): string => `http://127.0.0.1:${of}`;
const { app, ac } = createBank({
  role,
  level: setting.level,
  boot: setting.boot,
  points: faultPoints(parseFault(process.env["BANK_FAULT"])),
  pool,
  log: redis(client, { namespace: NAMESPACE }),
  transport: qstash({
    client: new Client({ baseUrl: setting.qstash.url, token: setting.qstash.token, retry: false }),
    currentSigningKey: setting.qstash.currentSigningKey,
    nextSigningKey: setting.qstash.nextSigningKey,
  }),
  publicUrl: url(port ?? setting.consumerPorts[0]),
  consumerUrls: [url(setting.consumerPorts[0]), url(setting.consumerPorts[1])],
  inbox: port === setting.consumerPorts[1] ? "log" : "main",
  observer: {
    event(event) {
      if (event.type === "held" || event.type === "dead" || event.type === "conflict") say({ event });
      else if (event.type === "logLost" || event.type === "lost") say({ event: { type: event.type } });
    },
  },
  onRegistered: (id, transactionId) => say({ registered: { id, transactionId } }),
});

const ending = new AbortController();
const server = port === undefined ? undefined : serve({ fetch: app.fetch, port, hostname: "127.0.0.1" });
const work: Promise<unknown>[] = [];
if (role === "producer") for (let number = 0; number < CONCURRENCY; number++) work.push(produce());
if (role === "sweeper") work.push(sweep());
say({ ready: true });
// Its end writes nothing any more, and the next start is to be quick.
flushCompileCache();

process.once("SIGTERM", () => {
  ending.abort();
  server?.close();
  void Promise.all(work)
    .then(() => ac.drain())
    .finally(() => process.exit(0));
});

async function produce(): Promise<void> {
  while (!ending.signal.aborted) {
    const source = Math.floor(Math.random() * ACCOUNTS);
    const order: Order = {
      id: crypto.randomUUID(),
      source,
      target: (source + 1 + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS,
      cents: 1 + Math.floor(Math.random() * 1_000),
      refused: Math.random() < REFUSED,
      compensates: Math.random() < COMPENSATES,
    };
    const headers = { "content-type": "application/json" };
    await app.request("/transfers", { method: "POST", headers, body: JSON.stringify(order) });
    await sleep(Math.random() * LONGEST_PAUSE_MILLIS);
  }
}

async function sweep(): Promise<void> {
  while (!ending.signal.aborted) {
    await ac
      .operator()
      .sweep()
      .catch(() => undefined);
    await sleep(SWEEP_EVERY_MILLIS);
  }
}
