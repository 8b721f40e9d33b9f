import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";
import { afterAll, describe, expect, test } from "vitest";
import { RetryableError } from "aftercommit";
import { createRedisEngine } from "../../adapters/dev/redis/index.ts";
import { redisExecutor } from "../../adapters/redis/index.ts";
import { pull, redisStreams } from "../../adapters/redis-streams/index.ts";
import type { StreamClient } from "../../adapters/redis-streams/index.ts";
import { transportContract } from "../../src/testing/index.ts";
import type { Arrived } from "../../src/testing/index.ts";
import { systemClock } from "../../src/system/clock.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { backendExecutor, serveUpstash } from "../support/upstash-endpoint.ts";
import { orderPaid, PUBLIC_URL, world } from "../support/world.ts";

/** The streams through each of the clients that people have. */
const server = await startRedisServer();
const cluster = await startRedisCluster();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const ioRedis = new Redis(url, { lazyConnect: true });
const nodeRedis = createClient({ url });
const nodeRedis2 = createClient({ url, RESP: 2 });
const nodeCluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${cluster?.port ?? 0}` }] });
const ioCluster = new Cluster([{ host: "127.0.0.1", port: cluster?.port ?? 0 }], { lazyConnect: true });
const engine = createRedisEngine();
const endpoint = await serveUpstash(createRedisEngine());

afterAll(async () => {
  ioRedis.disconnect();
  ioCluster.disconnect();
  for (const client of [nodeRedis, nodeRedis2, nodeCluster]) if (client.isOpen) client.destroy();
  await endpoint.close();
  await server?.stop();
  await cluster?.stop();
});

interface Way {
  readonly name: string;
  readonly missing: boolean;
  connect(): Promise<StreamClient>;
  /** A connection for reads that block, where there can be one. */
  blocking?(): Promise<{ readonly client: StreamClient; close(): void }>;
}

const opened = async <Client extends { readonly isOpen: boolean; connect(): Promise<unknown> }>(
  client: Client,
): Promise<Client> => {
  if (!client.isOpen) await client.connect();
  return client;
};

const WAYS: readonly Way[] = [
  { name: "the embedded engine", missing: false, connect: async () => backendExecutor(engine) },
  { name: "@upstash/redis over HTTP", missing: false, connect: async () => endpoint.client },
  {
    name: "ioredis",
    missing: server === undefined,
    connect: async () => ioRedis,
    async blocking() {
      const client = new Redis(url);
      return { client, close: () => client.disconnect() };
    },
  },
  {
    name: "node-redis",
    missing: server === undefined,
    connect: () => opened(nodeRedis),
    async blocking() {
      const client = await opened(nodeRedis.duplicate());
      return { client, close: () => client.destroy() };
    },
  },
  { name: "node-redis with RESP 2", missing: server === undefined, connect: () => opened(nodeRedis2) },
  { name: "ioredis on a cluster", missing: cluster === undefined, connect: async () => ioCluster },
  { name: "node-redis on a cluster", missing: cluster === undefined, connect: () => opened(nodeCluster) },
];

let namespaces = 0;

for (const way of WAYS) {
  describe.skipIf(way.missing)(`Redis Streams through ${way.name}`, () => {
    transportContract({ test }, async () => {
      const client = await way.connect();
      const namespace = `contract-${++namespaces}`;
      const faults: ("unreachable" | "replyLost")[] = [];
      const run = executorOf(client);
      const faulty: StreamClient = {
        async execute(command) {
          const fault = faults.shift();
          if (fault === "unreachable") throw new Error("connect ECONNREFUSED");
          const reply = await run(command);
          if (fault === "replyLost") throw new Error("socket hang up");
          return reply;
        },
      };
      // The contract publishes to two subscribers at once, and every call of theirs is to go wrong.
      const transport = redisStreams(faulty, { channels: ["orders"], namespace });
      const { ac } = world().service({ transport: world().transport });
      const arrived: Arrived[] = [];
      const destinations: string[] = [];
      const made = (name: string): string => {
        const destination = `stream:orders/${name}-${destinations.length}`;
        destinations.push(destination);
        return destination;
      };
      return {
        transport,
        arrived: () => arrived,
        accepting: async () => made("accepting"),
        refusing: async () => made("refusing"),
        async settled() {
          for (const from of destinations) {
            const subscribers = {
              ...ac,
              subscribers: () => ({
                ...ac.subscribers(),
                deliver: async ({ destination, body }: { destination: string; body: string }) => {
                  if (!destination.includes("refusing")) arrived.push({ url: destination, body });
                  return { status: "ack" as const };
                },
              }),
            };
            const puller = pull(subscribers, client, { from, namespace });
            while ((await puller.pull()).taken > 0);
          }
        },
        deduplicates: "outstanding",
        failNext: (fault) => void faults.push(fault, fault),
        dispose: async () => {},
      };
    });

    test.concurrent("a message makes its way: put back, fetched again, kept alive, and done", async () => {
      const client = await way.connect();
      const namespace = `journey-${++namespaces}`;
      const w = world();
      const clock = systemClock;
      const { ac, app } = w.service({
        clock,
        transport: redisStreams(client, { channels: ["orders"], namespace }),
        routes: { [orderPaid.name]: "stream:orders/receipt" },
      });
      const text = 'ä 漢字 🙂 "\\\n\u0001';
      app.post("/orders", ac.transaction(), async (c) => {
        await c.var.tx.publish(orderPaid, { orderId: text });
        return c.text("ok");
      });
      const seen: [string, number][] = [];
      ac.subscribe(orderPaid, "receipt", async ({ data, attempt }) => {
        seen.push([data.orderId, attempt]);
        if (attempt === 1) throw new RetryableError("again", { retryAfter: "50ms" });
        // Longer than its visibility time.
        await clock.sleep(4_000);
      });
      await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
      await ac.drain();
      const ending = new AbortController();
      const puller = pull(ac, client, { from: "stream:orders/receipt", namespace, visibility: "3s", poll: "100ms" });
      const thief = pull(ac, client, { from: "stream:orders/receipt", namespace, visibility: "3s", poll: "100ms" });
      const running = [puller.run({ signal: ending.signal }), thief.run({ signal: ending.signal })];
      await expect.poll(() => w.of("consumed").length, { timeout: 20_000, interval: 50 }).toBe(1);
      ending.abort();
      await Promise.all(running);
      expect(seen).toEqual([
        [text, 1],
        [text, 2],
      ]);
      expect(w.of("background")).toEqual([]);
      expect(await puller.backlog()).toEqual({ ready: 0, pending: 0, later: 0 });
    });

    test.concurrent("what a worker left is another's when its time is over", async () => {
      const client = await way.connect();
      const namespace = `left-${++namespaces}`;
      const { ac } = world().service({ routes: {} });
      ac.subscribe(orderPaid, "receipt", () => {});
      const from = "stream:orders/receipt";
      const first = pull(ac, client, { from, namespace, visibility: "3s" });
      await executorOf(client)([
        "EVAL",
        `return redis.call('XADD', KEYS[1], '*', 'f', 'v')`,
        "1",
        `{${namespace}:stream:orders}:receipt`,
      ]);
      const messages = executorOf(client);
      await first.backlog();
      await messages([
        "EVAL",
        "return redis.call('XGROUP', 'CREATE', KEYS[1], 'workers', '0')",
        "1",
        `{${namespace}:stream:orders}:receipt`,
      ]);
      const command = "return redis.call('XREADGROUP', 'GROUP', 'workers', 'gone', 'STREAMS', KEYS[1], '>')";
      await messages(["EVAL", command, "1", `{${namespace}:stream:orders}:receipt`]);
      expect(await first.pull()).toMatchObject({ taken: 0 });
      await expect.poll(async () => (await first.pull()).taken, { timeout: 10_000, interval: 200 }).toBe(1);
      expect(await first.backlog()).toEqual({ ready: 0, pending: 0, later: 0 });
    });

    const { blocking: connectBlocking } = way;
    // Over HTTP no read can block.
    if (connectBlocking !== undefined)
      test.concurrent("a read that blocks brings a message at once", async () => {
        const client = await way.connect();
        const { client: blocking, close } = await connectBlocking();
        const namespace = `blocking-${++namespaces}`;
        const w = world();
        const { ac, app } = w.service({
          clock: systemClock,
          transport: redisStreams(client, { channels: ["orders"], namespace }),
          routes: { [orderPaid.name]: "stream:orders/receipt" },
        });
        app.post("/orders", ac.transaction(), async (c) => {
          await c.var.tx.publish(orderPaid, { orderId: "o-1" });
          return c.text("ok");
        });
        const came = Promise.withResolvers<number>();
        ac.subscribe(orderPaid, "receipt", () => came.resolve(performance.now()));
        const ending = new AbortController();
        const puller = pull(ac, client, { from: "stream:orders/receipt", namespace, blocking });
        const running = puller.run({ signal: ending.signal });
        // Long enough for looks that become rarer to be rare.
        await systemClock.sleep(3_000);
        const sentAt = performance.now();
        await app.request(`${PUBLIC_URL}/orders`, { method: "POST" });
        await ac.drain();
        expect((await came.promise) - sentAt).toBeLessThan(1_000);
        ending.abort();
        await running;
        close();
        expect(w.of("background")).toEqual([]);
      });
  });
}

describe.skipIf(server === undefined)("the memory of a stream on a real server", () => {
  test("is bounded: 10,000 messages later it is what it was", async () => {
    const client = redisExecutor(ioRedis);
    const namespace = `memory-${++namespaces}`;
    const w = world();
    const { ac } = w.service({ routes: {} });
    const transport = redisStreams(client, { channels: ["orders"], namespace });
    const puller = pull(ac, client, { from: "stream:orders/receipt", namespace, batch: 200 });
    const key = `{${namespace}:stream:orders}:receipt`;
    const usage = async (): Promise<number> => (await ioRedis.memory("USAGE", key, "SAMPLES", 0)) ?? 0;
    const { dispatchTo } = await import("../unit/qstash/scripted-client.ts");
    const sizes: number[] = [];
    for (let round = 0; round < 10; round++) {
      const dispatches = Array.from({ length: 1_000 }, (_, i) =>
        dispatchTo("stream:orders/receipt", { index: round * 1_000 + i }, "x".repeat(200)),
      );
      const results = await transport.publish(dispatches);
      expect(results.every(({ status }) => status === "accepted")).toBe(true);
      while ((await puller.pull()).taken > 0);
      sizes.push(await usage());
    }
    expect(await ioRedis.xlen(key)).toBe(0);
    expect(await ioRedis.exists(`${key}:places`, `${key}:later`)).toBe(0);
    expect(Math.max(...sizes)).toBeLessThan(5_000);
    expect(sizes.at(-1)).toBe(sizes[0]);
  });
});

function executorOf(client: StreamClient): (command: readonly string[]) => Promise<unknown> {
  if ("execute" in client) return (command) => client.execute(command);
  if ("call" in client || "sendCommand" in client) return (command) => redisExecutor(client).execute(command);
  return ([name, script, count, ...rest]) => {
    if (name !== "EVAL") throw new TypeError(`expected a script, found ${name}`);
    return client.eval(script!, rest.slice(0, Number(count)), rest.slice(Number(count)));
  };
}
