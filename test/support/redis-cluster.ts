import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findFreePort, startRedisServer } from "./redis-server.ts";
import type { RedisServerProcess } from "./redis-server.ts";

/**
 * Starts a Redis Cluster of one node that owns every slot: enough to refuse a command whose keys lie in several slots.
 * Where there is no redis-server, as {@link startRedisServer}.
 */
export async function startRedisCluster(): Promise<RedisServerProcess | undefined> {
  const directory = await mkdtemp(join(tmpdir(), "redis-cluster-"));
  const busPort = String(await findFreePort());
  const node = await startRedisServer([
    "--cluster-enabled",
    "yes",
    "--cluster-port",
    busPort,
    "--cluster-announce-ip",
    "127.0.0.1",
    "--dir",
    directory,
  ]);
  if (node === undefined) return undefined;
  const cli = async (...words: string[]): Promise<string> =>
    (await promisify(execFile)("redis-cli", ["-p", String(node.port), ...words])).stdout;
  await cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  while (!(await cli("CLUSTER", "INFO")).includes("cluster_state:ok"))
    await new Promise((done) => setTimeout(done, 20));
  return {
    port: node.port,
    async stop() {
      await node.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
