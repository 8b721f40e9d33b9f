import { spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";

/** A `redis-server` of this test's own. */
export interface RedisServerProcess {
  readonly port: number;
  /** Ends the process and waits until it is gone. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const START_ATTEMPTS = 3;

/**
 * Starts an empty `redis-server` on a free loopback port, without persistence.
 *
 * `options` are further words of its command line. Without one on the PATH it prints that the tests are skipped and
 * resolves to `undefined`; in CI (`CI=true`) that is an error.
 */
export async function startRedisServer(options: readonly string[] = []): Promise<RedisServerProcess | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await findFreePort(), options);
    } catch (error) {
      if (isMissing(error)) return skip();
      // Another process may have taken the port between our look and the server's.
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function start(port: number, options: readonly string[]): Promise<RedisServerProcess> {
  const args = ["--bind", HOST, "--port", String(port), "--save", "", "--appendonly", "no", "--daemonize", "no"];
  args.push(...options);
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  // Not once(): it would reject, unheard, where there is no such program.
  const ended = new Promise((resolve) => server.once("exit", resolve));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`redis-server ended at its start with code ${code}`)));
    server.stdout.on("data", (chunk: Buffer) => {
      if (chunk.includes("Ready to accept connections")) resolve();
    });
  });
  await assertReachable(port);
  return {
    port,
    async stop() {
      server.kill("SIGTERM");
      await ended;
    },
  };
}

async function assertReachable(port: number): Promise<void> {
  const socket = createConnection({ host: HOST, port });
  await once(socket, "connect");
  socket.destroy();
}

export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, HOST);
  await once(probe, "listening");
  const address = probe.address();
  const closed = once(probe, "close");
  probe.close();
  await closed;
  if (address === null || typeof address === "string") throw new Error("expected the address of a TCP server");
  return address.port;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function skip(): undefined {
  const reason = "redis-server is not on the PATH";
  if (process.env["CI"] === "true") throw new Error(`${reason}, and CI must not skip what needs it`);
  console.log(`skipped: ${reason}`);
  return undefined;
}
