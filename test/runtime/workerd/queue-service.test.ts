import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startGate } from "./gate.ts";
import type { Gate } from "./gate.ts";
import { startQueueWorker } from "./queue-worker.ts";
import type { QueueWorker, QueueWorkerOptions, WranglerConfiguration } from "./queue-worker.ts";
import type { QueueFaults } from "./queue-service.ts";

const entry = new URL("queue-service.ts", import.meta.url);
const migrations = [
  new URL("../../../adapters/sql/schema/sqlite.sql", import.meta.url),
  new URL("queue-service.sql", import.meta.url),
];
const wrangler: WranglerConfiguration = {
  main: "queue-service.ts",
  compatibility_date: "2026-07-01",
  triggers: { crons: ["* * * * *"] },
  d1_databases: [{ binding: "DB" }],
  queues: {
    producers: [{ binding: "ORDERS", queue: "orders" }],
    consumers: [
      { queue: "orders", max_batch_size: 10, max_retries: 5, dead_letter_queue: "orders-dead" },
      { queue: "orders-dead", max_batch_size: 10, max_retries: 5 },
    ],
  },
};

type Dead = { readonly items: readonly { readonly detail: string; readonly record: { readonly key: string } }[] };

interface Service extends QueueWorker {
  readonly gate: Gate;
  /** Places an order that behaves so; resolves to its id. */
  order(order?: object, path?: string): Promise<string>;
  faults(faults: QueueFaults): Promise<unknown>;
  /** The orders that had their effect, each as often as it had. */
  effects(): Promise<readonly string[]>;
  /** Waits until these orders, and no others, had their effect once, and every row is settled. */
  acted(...orderIds: readonly string[]): Promise<void>;
  /** Waits until so many letters are dead. */
  dead(count: number): Promise<Dead["items"]>;
}

const eventually = <T>(check: () => Promise<T>): Promise<T> => vi.waitFor(check, { timeout: 20_000, interval: 20 });

async function start(flags: readonly string[], options: Partial<QueueWorkerOptions> = {}): Promise<Service> {
  const gate = await startGate();
  onTestFinished(() => gate.close());
  const worker = await startQueueWorker({
    entry,
    wrangler,
    migrations,
    compatibilityFlags: flags,
    bindings: { GATE_URL: gate.url },
    ...options,
  });
  onTestFinished(() => worker.stop().catch(() => {}));
  const effects = async () => {
    const rows = await worker.query<{ id: string }>("select order_id as id from effects order by order_id");
    return rows.map(({ id }) => id);
  };
  return {
    ...worker,
    gate,
    effects,
    async order(order = {}, path = "/orders") {
      const response = await worker.post(path, order);
      expect(response.status).toBe(201);
      return ((await response.json()) as { orderId: string }).orderId;
    },
    faults: (faults) => worker.post("/faults", faults),
    acted: (...orderIds) =>
      eventually(async () => {
        expect(await effects()).toEqual(orderIds.toSorted());
        expect(await worker.query("select * from aftercommit_barrier where settled is null")).toEqual([]);
      }),
    dead: (count) =>
      eventually(async () => {
        const { items } = await worker.operator<Dead>("GET", "/dead");
        expect(items).toHaveLength(count);
        return items;
      }),
  };
}

describe.each([
  ["without compatibility flags", []],
  ["with nodejs_compat", ["nodejs_compat"]],
] as const)("a Worker on D1 and a queue, %s", (_, flags) => {
  test("messages that the queue delivers twice have their effect once", async () => {
    const service = await start(flags);
    await service.faults({ twice: true });
    const orderIds = await Promise.all(Array.from({ length: 10 }, () => service.order()));
    await service.acted(...orderIds);
    await eventually(async () => {
      const { metrics } = await service.miniflare
        .getQueueProducer("ORDERS")
        .then((queue) => ({ metrics: queue.metrics() }));
      expect((await metrics).backlogCount).toBe(0);
    });
    await service.acted(...orderIds);
  });

  test("a message whose handler fails is tried again by itself, with its attempts counted, and done once", async () => {
    const service = await start(flags);
    const failing = await service.order({ behaviour: "third" });
    const others = await Promise.all([service.order(), service.order()]);
    await service.acted(failing, ...others);
    const runs = await service.query(
      "select attempt from runs where order_id = (select order_id from runs where attempt = 3)",
    );
    expect(runs).toEqual([{ attempt: 1 }, { attempt: 2 }, { attempt: 3 }]);
  });

  test("a poisoned message is a dead letter that the operator sees, and has its effect once when it is redriven", async () => {
    const service = await start(flags);
    const poisoned = await service.order({ behaviour: "poison" });
    const fine = await service.order();
    const [letter] = await service.dead(1);
    expect(letter!.detail).toBe("the handler threw Error");
    expect(await service.effects()).toEqual([fine]);
    expect(await service.query(`select count(*) as runs from runs where order_id = '${poisoned}'`)).toEqual([
      { runs: 4 },
    ]);
    await service.query(`insert into mended (order_id) values ('${poisoned}')`);
    await service.operator("POST", `/dead/${letter!.record.key}/redrive`);
    await service.acted(poisoned, fine);
    await service.dead(0);
  });

  test("what the queue itself gives up goes through its dead letter queue to ours", async () => {
    const service = await start(flags);
    await service.order({ behaviour: "poison", retries: 100 });
    const [letter] = await service.dead(1);
    expect(letter!.detail).toBe('the queue\'s retries are used up ("orders-dead")');
    expect(await service.query("select count(*) as runs from runs")).toEqual([{ runs: 6 }]);
  });

  test("what is no message of ours does not keep others of its batch from their effect", async () => {
    const service = await start(flags);
    const queue = await service.miniflare.getQueueProducer("ORDERS");
    await queue.sendBatch([
      { body: { strange: true } },
      { body: "text", contentType: "text" },
      { body: '{"v":1,"destination":"queue:orders/receipt"}\n{}', contentType: "text" },
    ]);
    await service.acted(await service.order());
    await service.dead(0);
  });

  test("orders stand while the queue takes nothing, and the Cron Trigger sends their messages when it does", async () => {
    const service = await start(flags);
    await service.faults({ refusals: 2 });
    const orderIds = [await service.order(), await service.order()];
    await eventually(async () => {
      const tried = "select transaction_id from aftercommit_barrier where settled is null and attempts + version > 0";
      expect(await service.query(tried)).toHaveLength(2);
    });
    expect(await service.effects()).toEqual([]);
    // They are due again five seconds later, or a little sooner.
    await eventually(async () => {
      expect(await service.scheduled()).toMatchObject({ outcome: "ok", noRetry: true });
      expect(await service.effects()).toEqual(orderIds.toSorted());
    });
    await service.acted(...orderIds);
  });

  test("an order whose client goes away in the middle of the request is placed and sent all the same", async () => {
    const service = await start(flags);
    const client = request(`${service.url}/orders/held`, { method: "POST" });
    const gone = new Promise((resolve) => client.on("error", () => {}).once("close", resolve));
    client.end("{}");
    await service.gate.called;
    client.socket!.resetAndDestroy();
    await gone;
    // By the time it answers others, workerd knows that this client has gone.
    for (let i = 0; i < 5; i++) expect((await fetch(`${service.url}/nothing`)).status).toBe(404);
    expect(await service.query("select id from orders")).toEqual([]);
    service.gate.open();
    await eventually(async () => expect(await service.effects()).toHaveLength(1));
    const [{ id }] = (await service.query<{ id: string }>("select id from orders")) as [{ id: string }];
    await service.acted(id);
  });

  test("work in waitUntil that throws keeps no message from being sent", async () => {
    const service = await start(flags);
    await service.acted(await service.order({}, "/orders/work-that-throws"));
  });

  test("a response that breaks off after its 200 takes nothing back: what committed is sent", async () => {
    const service = await start(flags);
    const response = await service.post("/orders/stream");
    expect(response.status).toBe(200);
    expect(await response.text().catch(() => "")).not.toContain("</html>");
    const [{ id }] = (await service.query<{ id: string }>("select id from orders")) as [{ id: string }];
    await service.acted(id);
  });

  test("a Worker that is killed while it publishes leaves its messages to the Cron Trigger of the next one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "aftercommit-workerd-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const pidOf = workerdThatTellsItsPid(folder);
    const service = await start(flags, { folder: join(folder, "d1") });
    const pid = pidOf();
    await service.faults({ spin: true });
    const orderId = await service.order();
    await service.gate.called;
    service.gate.open();
    // workerd has no limit of CPU time here: what Cloudflare would end for it is killed.
    process.kill(pid, "SIGKILL");
    await service.stop().catch(() => {});

    const next = await start(flags, { folder: join(folder, "d1"), migrations: [] });
    expect(await next.query("select id from orders")).toEqual([{ id: orderId }]);
    expect(await next.effects()).toEqual([]);
    await eventually(async () => {
      await next.scheduled();
      expect(await next.effects()).toEqual([orderId]);
    });
    await next.acted(orderId);
  });
});

/** Lets the next workerd write down its process id; resolves to a function that reads it. */
function workerdThatTellsItsPid(folder: string): () => number {
  const load = createRequire(createRequire(import.meta.url).resolve("miniflare"));
  const { default: workerd } = load("workerd") as { readonly default: string };
  const [script, file] = [join(folder, "workerd.sh"), join(folder, "pid")];
  writeFileSync(script, `#!/bin/sh\necho $$ > '${file}'\nexec '${workerd}' "$@"\n`);
  chmodSync(script, 0o755);
  vi.stubEnv("MINIFLARE_WORKERD_PATH", script);
  onTestFinished(() => void vi.unstubAllEnvs());
  return () => {
    vi.unstubAllEnvs();
    return Number(readFileSync(file, "utf8"));
  };
}
