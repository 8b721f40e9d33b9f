import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { findFreePort } from "../support/redis-server.ts";

/** How a Redis loses what it holds. */
export const REDIS_LOSSES = ["AOF tail cut", "AOF gone", "FLUSHALL", "killed", "replica promoted"] as const;
export type RedisLoss = (typeof REDIS_LOSSES)[number];

/** How one loss goes. */
export interface Losing {
  readonly loss: RedisLoss;
  /** For how long the replica had not heard from the killed one, where it is promoted. */
  readonly lagMillis: number;
  /** For how long none answers. */
  readonly downMillis: number;
}

/** A `redis-server` with an AOF and a replica, at an address that stays. */
export interface ChaosRedis {
  readonly url: string;
  /** Takes what the loss takes; resolves when one answers again, to when it fell. Losses are made one after the other. */
  lose(losing: Losing): Promise<number>;
  /** Kills both for good; at once. */
  end(): void;
}

/** One of the two. */
interface Node {
  readonly directory: string;
  readonly server: ChildProcess;
}

const HOST = "127.0.0.1";
const START_ATTEMPTS = 10;
const START_PAUSE_MILLIS = 100;
const SAMPLE_MILLIS = 100;
/** What `appendfsync everysec` may lose, at most. */
const LOST_TAIL_MILLIS = 2_000;
const LINK_POLL_MILLIS = 50;
const LINK_LIMIT_MILLIS = 60_000;
const PERSISTENCE = {
  save: "",
  appendonly: "yes",
  appendfsync: "everysec",
  "auto-aof-rewrite-percentage": "0",
  "repl-diskless-sync-delay": "0",
};

/** Starts the two, their data in `directory`. */
export async function startChaosRedis(directory: string, draw: () => number): Promise<ChaosRedis> {
  const port = await findFreePort();
  let sidePort = await findFreePort();
  let replica: Node | undefined;
  let samples: AppendedSize[] = [];
  let losses: Promise<unknown> = Promise.resolve();

  const follow = async (where: string): Promise<void> => {
    rmSync(where, { recursive: true, force: true });
    replica = await startNode(where, sidePort, { replicaof: `${HOST} ${port}` });
  };
  let primary = await startNode(join(directory, "redis-1"), port);
  await follow(join(directory, "redis-2"));
  const sampling = setInterval(() => {
    const file = appendedFile(primary.directory);
    const size = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false })?.size;
    if (file === undefined || size === undefined) return;
    const now = Date.now();
    samples = [...samples.filter(({ at }) => at > now - LOST_TAIL_MILLIS), { at: now, file, size }];
  }, SAMPLE_MILLIS);
  sampling.unref();

  /** The replica takes the place of the primary, and its port: what it had not heard is gone. */
  const failOver = async (lagMillis: number, downMillis: number): Promise<number> => {
    const promoted = replica!;
    await linked(sidePort);
    await command(sidePort, ["REPLICAOF", "NO", "ONE"]);
    await sleep(lagMillis);
    const fallen = primary;
    const at = await kill(fallen.server);
    samples = [];
    await sleep(downMillis);
    await command(sidePort, ["CONFIG", "SET", "port", String(port)]);
    primary = promoted;
    sidePort = await findFreePort();
    await follow(fallen.directory);
    return at;
  };

  const restart = async (loss: RedisLoss, downMillis: number): Promise<number> => {
    const at = await kill(primary.server);
    if (loss === "AOF gone") rmSync(join(primary.directory, APPENDS), { recursive: true, force: true });
    if (loss === "AOF tail cut") cutTail(samples, appendedFile(primary.directory), draw());
    samples = [];
    await sleep(downMillis);
    primary = await startNode(primary.directory, port);
    return at;
  };

  const lose = async ({ loss, lagMillis, downMillis }: Losing): Promise<number> => {
    if (loss === "replica promoted") return failOver(lagMillis, downMillis);
    if (loss !== "FLUSHALL") return restart(loss, downMillis);
    await command(port, ["FLUSHALL"]);
    return Date.now();
  };

  return {
    url: `redis://${HOST}:${port}`,
    lose(losing) {
      const lost = losses.then(() => lose(losing));
      losses = lost.catch(() => undefined);
      return lost;
    },
    end() {
      clearInterval(sampling);
      for (const node of [primary, replica]) node?.server.kill("SIGKILL");
    },
  };
}

async function startNode(
  directory: string,
  port: number,
  further: Readonly<Record<string, string>> = {},
): Promise<Node> {
  for (let attempt = 1; ; attempt++) {
    try {
      return { directory, server: await startServer(directory, port, further) };
    } catch (error) {
      // A client that looked for the one before may have come by its port.
      if (attempt === START_ATTEMPTS) throw error;
      await sleep(START_PAUSE_MILLIS);
    }
  }
}

async function startServer(
  directory: string,
  port: number,
  further: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  mkdirSync(directory, { recursive: true });
  const settings = { bind: HOST, port: String(port), dir: directory, daemonize: "no", ...PERSISTENCE, ...further };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, ...value.split(" ")]);
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`redis-server ended at its start with code ${code}`)));
    server.stdout.on("data", (chunk: Buffer) => {
      if (chunk.includes("Ready to accept connections")) resolve();
    });
  });
  return server;
}

/** Resolves when it is gone, to when it was killed. */
async function kill(server: ChildProcess): Promise<number> {
  const gone = new Promise((resolve) => server.once("exit", resolve));
  const at = Date.now();
  server.kill("SIGKILL");
  await gone;
  return at;
}

/** Waits until a replica has all that its primary holds. */
async function linked(port: number): Promise<void> {
  for (const limit = Date.now() + LINK_LIMIT_MILLIS; Date.now() < limit; await sleep(LINK_POLL_MILLIS)) {
    const found = String(await command(port, ["INFO", "replication"]));
    if (found.includes("master_link_status:up") && found.includes("master_sync_in_progress:0")) return;
  }
  throw new Error(`Expected the replica to follow its primary within ${LINK_LIMIT_MILLIS} ms.`);
}

async function command(port: number, words: readonly string[]): Promise<unknown> {
  const client = createClient({ url: `redis://${HOST}:${port}`, socket: { reconnectStrategy: false } });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await client.sendCommand([...words]);
  } finally {
    client.destroy();
  }
}

/** How long the file that is appended to was at a moment. */
interface AppendedSize {
  readonly at: number;
  readonly file: string;
  readonly size: number;
}

const APPENDS = "appendonlydir";

/** The file that is appended to; Redis 7 names it `….<number>.incr.aof`. */
function appendedFile(directory: string): string | undefined {
  const appends = join(directory, APPENDS);
  if (!existsSync(appends)) return undefined;
  const names = readdirSync(appends).filter((one) => one.endsWith(".incr.aof"));
  const newest = names.toSorted((a, b) => numberOf(a) - numberOf(b)).at(-1);
  return newest === undefined ? undefined : join(appends, newest);
}

function numberOf(name: string): number {
  return Number(name.split(".").at(-3));
}

/** Cuts a file back to what it held at some moment of the last two seconds, and in the middle of a command. */
function cutTail(samples: readonly AppendedSize[], file: string | undefined, chance: number): void {
  const known = samples.filter((sample) => sample.file === file);
  const then = known[Math.floor(chance * known.length)];
  if (file === undefined || then === undefined) return;
  const now = statSync(file).size;
  truncateSync(file, Math.max(0, Math.min(now, then.size) - 1));
}
