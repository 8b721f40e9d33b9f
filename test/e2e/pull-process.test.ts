import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Hono } from "hono";
import { Redis } from "ioredis";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { aftercommit, topic } from "aftercommit";
import type { AftercommitEnv } from "aftercommit";
import * as z from "zod/mini";
import { redis } from "../../adapters/redis/index.ts";
import { redisStreams } from "../../adapters/redis-streams/index.ts";
import { startRedisServer } from "../support/redis-server.ts";

/** Workers as processes of their own, on a real server. */
const server = await startRedisServer();
const url = `redis://127.0.0.1:${server?.port ?? 0}`;
const client = new Redis(url, { lazyConnect: true });

afterAll(async () => {
  client.disconnect();
  await server?.stop();
});

interface Worker {
  /** Resolves with the first line that begins so, once it is there. */
  said(beginning: string): Promise<string>;
  readonly lines: readonly string[];
  end(signal: NodeJS.Signals): Promise<void>;
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

function worker(way: "hang" | "work"): Worker {
  const program = new URL("pull-worker.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--conditions=aftercommit-source", program, url, way], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.add(child);
  const ended = once(child, "exit").then(() => running.delete(child));
  const lines: string[] = [];
  let waiting: { readonly beginning: string; readonly resolve: (line: string) => void }[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    for (const { beginning, resolve } of waiting) if (line.startsWith(beginning)) resolve(line);
    waiting = waiting.filter(({ beginning }) => !line.startsWith(beginning));
  });
  return {
    lines,
    said(beginning) {
      const found = lines.find((line) => line.startsWith(beginning));
      return found === undefined
        ? new Promise((resolve) => waiting.push({ beginning, resolve }))
        : Promise.resolve(found);
    },
    async end(signal) {
      child.kill(signal);
      await ended;
    },
  };
}

const orderPaid = topic("order.paid", z.object({ orderId: z.string() }));

describe.skipIf(server === undefined)("a worker process", () => {
  test("killed in the middle of a message leaves it to another, which does it; told to end, that one ends", async () => {
    const ac = aftercommit({
      log: redis(client),
      transport: redisStreams(client, { channels: ["orders"] }),
      routes: { [orderPaid.name]: "stream:orders/receipt" },
      observer: { event: () => {} },
    });
    const app = new Hono<AftercommitEnv>();
    app.post("/orders", ac.transaction(), async (c) => {
      const { id } = await c.var.tx.publish(orderPaid, { orderId: "o-1" });
      return c.text(id);
    });
    const response = await app.request("/orders", { method: "POST" });
    const id = await response.text();
    await ac.drain();

    const killed = worker("hang");
    expect(await killed.said("begun")).toBe(`begun ${id} 1`);
    await killed.end("SIGKILL");

    const sound = worker("work");
    // The second delivery; or a later one, where the killed run's lease was still there.
    expect(await sound.said("done")).toMatch(new RegExp(`^done ${id} [2-4]$`));
    await expect.poll(() => client.xlen("{aftercommit:stream:orders}:receipt"), { timeout: 10_000 }).toBe(0);
    expect((await ac.operator().log.counts()).unsettled).toBe(0);
    await sound.end("SIGTERM");
    expect(sound.lines.at(-1)).toBe("ended");
    expect(await client.xinfo("CONSUMERS", "{aftercommit:stream:orders}:receipt", "workers")).toHaveLength(1);
  }, 60_000);
});
