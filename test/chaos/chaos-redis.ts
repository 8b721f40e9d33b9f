import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "../support/redis-server.ts";

/** How a Redis loses what it holds. */
export const REDIS_LOSSES = ["AOF tail cut", "AOF gone", "FLUSHALL", "killed"] as const;
export type RedisLoss = (typeof REDIS_LOSSES)[number];

/** A `redis-server` with an AOF, which can be killed and started again at the same port, with what is left of its data. */
export interface ChaosRedis {
  readonly url: string;
  /** Kills it, takes what the loss takes, and starts it again after a while; resolves when it answers. */
  lose(loss: Exclude<RedisLoss, "FLUSHALL">, downMillis: number): Promise<void>;
  /** Kills it for good; at once. */
  end(): void;
}

const HOST = "127.0.0.1";
const SAMPLE_MILLIS = 100;
/** What `appendfsync everysec` may lose, at most. */
const LOST_TAIL_MILLIS = 2_000;

/** Starts one, its data in `directory`. */
export async function startChaosRedis(directory: string, draw: () => number): Promise<ChaosRedis> {
  const port = await findFreePort();
  const appends = join(directory, "appendonlydir");
  let server: ChildProcess;
  let sizes: { readonly at: number; readonly file: string; readonly size: number }[] = [];

  /** The file that is appended to; Redis 7 names it `….incr.aof`. */
  const tail = (): string | undefined => {
    if (!existsSync(appends)) return undefined;
    const name = readdirSync(appends).find((one) => one.endsWith(".incr.aof"));
    return name === undefined ? undefined : join(appends, name);
  };
  const sampling = setInterval(() => {
    const file = tail();
    if (file === undefined) return;
    const now = Date.now();
    sizes = [...sizes.filter(({ at }) => at > now - LOST_TAIL_MILLIS), { at: now, file, size: statSync(file).size }];
  }, SAMPLE_MILLIS);
  sampling.unref();

  const start = async (): Promise<void> => {
    const where = ["--bind", HOST, "--port", String(port), "--dir", directory, "--daemonize", "no"];
    const aof = [
      "--save",
      "",
      "--appendonly",
      "yes",
      "--appendfsync",
      "everysec",
      "--auto-aof-rewrite-percentage",
      "0",
    ];
    server = spawn("redis-server", [...where, ...aof], { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.once("exit", (code) => reject(new Error(`redis-server ended at its start with code ${code}`)));
      server.stdout!.on("data", (chunk: Buffer) => {
        if (chunk.includes("Ready to accept connections")) resolve();
      });
    });
  };

  await start();
  return {
    url: `redis://${HOST}:${port}`,
    async lose(loss, downMillis) {
      const gone = new Promise((resolve) => server.once("exit", resolve));
      server.kill("SIGKILL");
      await gone;
      if (loss === "AOF gone") rmSync(appends, { recursive: true, force: true });
      if (loss === "AOF tail cut") cutTail(sizes, tail(), draw());
      sizes = [];
      await sleep(downMillis);
      await start();
    },
    end() {
      clearInterval(sampling);
      server.kill("SIGKILL");
    },
  };
}

/** Cuts a file back to what it held at some moment of the last two seconds, and in the middle of a command. */
function cutTail(
  sizes: readonly { readonly file: string; readonly size: number }[],
  file: string | undefined,
  chance: number,
): void {
  const known = sizes.filter((sample) => sample.file === file);
  const then = known[Math.floor(chance * known.length)];
  if (file === undefined || then === undefined) return;
  const now = statSync(file).size;
  truncateSync(file, Math.max(0, Math.min(now, then.size) - 1));
}
