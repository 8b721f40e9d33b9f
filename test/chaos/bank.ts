import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv, LogStore, Operator, Observer, Transport } from "aftercommit";
import { nodePostgres } from "aftercommit/sql";
import { Hono } from "hono";
import type { Pool, PoolClient } from "pg";
import * as z from "zod/mini";
import { credit, debit, noteEffect } from "./books.ts";
import { databaseWith, logWith, transportWith } from "./faults.ts";
import type { FaultPoints } from "./faults.ts";
import type { ChaosOptions } from "./options.ts";
import type { Role } from "./points.ts";

const transfer = z.object({ id: z.string(), source: z.int(), target: z.int(), cents: z.int() });
const transferMade = topic("transfer.made", transfer);
const transferRefused = topic("transfer.refused", z.object({ id: z.string() }));

/** What a producer is asked for: how it goes is part of it. */
const order = z.extend(transfer, { refused: z.boolean(), compensates: z.boolean() });
export type Order = z.infer<typeof order>;

/** The deployment that all processes of the bank are. */
export const SOURCE = "bank";
export const NAMESPACE = "bank";

/** Quick and many retries: a message meets its consumer down at many of its attempts. */
const DELIVERY = { retries: 20, retryDelay: "min(2000, 300 * (1 + retried))" };

const ignored = (): void => undefined;

/** What a process of the bank is made of. */
export interface BankOptions {
  readonly role: Role;
  readonly level: ChaosOptions["level"];
  /** Names this start of the process. */
  readonly boot: string;
  readonly points: FaultPoints;
  readonly pool: Pool;
  readonly log: LogStore;
  readonly transport: Transport;
  /** Where this process is reached; a producer and a sweeper name a consumer's address. */
  readonly publicUrl: string;
  /** Where the two consumers are. */
  readonly consumerUrls: readonly [credit: string, entry: string];
  /** Where consumed messages are remembered: in the database, or in Redis. */
  readonly inbox: "main" | "log";
  readonly observer: Observer;
  /** Told of each transfer whose messages for a rollback were taken. */
  readonly onRegistered: (transferId: string, transactionId: string) => void;
}

/** An app to serve, and what sweeps and drains it. */
export interface Bank {
  readonly app: Hono<AftercommitEnv>;
  readonly ac: { operator(): Operator; drain(): Promise<void> };
}

/** Lends a client whose loss shows in the statement under way, and is heard from the first moment. */
function lendClient(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      client?.on("error", ignored);
      if (client === undefined) reject(error ?? new Error("Expected the pool to lend a client, found none."));
      else resolve(client);
    });
  });
}

/** The bank: transfers debit one account in the producer's transaction, and credit another in a consumer's. */
export function createBank(options: BankOptions): Bank {
  const { role, level, boot, points, pool, consumerUrls } = options;
  const [creditUrl, entryUrl] = consumerUrls;
  const main = databaseWith(points, role, nodePostgres(pool));
  const log = logWith(points, role, options.log);
  const ac = aftercommit({
    publicUrl: options.publicUrl,
    source: SOURCE,
    dev: true,
    databases: { main },
    log,
    inbox: options.inbox === "main" ? "main" : log,
    transport: transportWith(points, role, options.transport),
    routes: {
      [transferMade.name]: [`${creditUrl}/credit`, `${entryUrl}/entry`],
      [transferRefused.name]: [`${entryUrl}/refusal`],
    },
    checks: {
      transfer: (id) =>
        points.around("S3_look", async () => {
          const { rowCount } = await pool.query("select from transfers where tx_id = $1", [id]);
          return rowCount === 1 ? "committed" : "rolledBack";
        }),
    },
    // Time runs fast, so that what a kill leaves behind is found within seconds.
    recovery: {
      longestRequest: "1500ms",
      deadline: "2s",
      checkSpacing: "500ms",
      confirmAfter: "4s",
      sweepLease: "2s",
      auditEvery: "1s",
    },
    consumers: { lease: "3s", renewEvery: "1s" },
    storeTimeout: "1s",
    databaseTimeout: "3s",
    transportTimeout: "2s",
    observer: options.observer,
  });

  const app = new Hono<AftercommitEnv>();
  const decidedBy = { barrier: { database: "main" as const }, checked: { check: "transfer" }, marked: {} }[level];
  app.use("/transfers", ac.transaction(decidedBy));
  app.post("/transfers", async (c) => {
    const { tx } = c.var;
    const { refused, compensates, ...made } = order.parse(await c.req.json());
    if (compensates) {
      await tx.publish(transferRefused, { id: made.id }, { ...DELIVERY, on: "rollback" });
      options.onRegistered(made.id, tx.id);
    }
    if (level === "barrier") {
      await tx.run("main", async (sql: PoolClient) => {
        await points.around("P5_work", () => debit(sql, tx.id, boot, made));
        await tx.publish(transferMade, made, DELIVERY);
        if (refused) throw new Error("refused");
      });
      return c.json({}, 201);
    }
    await tx.publish(transferMade, made, DELIVERY);
    const client = await lendClient(pool);
    let broken = true;
    try {
      await client.query("begin");
      await points.around("P5_work", () => debit(client, tx.id, boot, made));
      if (refused) await client.query("rollback");
      else await points.around("P6_commit", () => client.query("commit"));
      broken = false;
    } finally {
      client.release(broken);
      if (!broken) client.removeListener("error", ignored);
    }
    return c.json({}, refused ? 409 : 201);
  });

  const consumers = { database: "main" as const };
  const effect =
    (consumer: string, act: typeof credit = async () => undefined) =>
    (message: { readonly id: string; readonly data: { readonly id: string } }) =>
    (sql: PoolClient) =>
      points.around("C6_effect", async () => {
        await act(sql, message.data as z.infer<typeof transfer>);
        await noteEffect(sql, consumer, message.id, message.data.id);
      });
  app.post(
    "/credit",
    ac.consumer(transferMade, (message) => message.run("main", effect("credit", credit)(message)), consumers),
  );
  app.post(
    "/entry",
    ac.consumer(transferMade, (message) => message.run("main", effect("entry")(message)), consumers),
  );
  app.post(
    "/refusal",
    ac.consumer(transferRefused, (message) => message.run("main", effect("refusal")(message)), consumers),
  );
  app.onError((_error, c) => c.json({}, 500));
  app.route("/_aftercommit", ac.operations());
  return { app, ac };
}
