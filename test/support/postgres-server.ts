import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "pg";
import { findFreePort } from "./redis-server.ts";

/** A PostgreSQL of this test's own. */
export interface PostgresServerProcess {
  readonly port: number;
  /** The address of a database, as clients take it. */
  url(database: string, user?: string): string;
  /** Makes an empty database; resolves to its address. */
  createDatabase(): Promise<string>;
  /** Ends every connection to a database, as an administrator does. */
  terminateBackends(url: string): Promise<void>;
  /** Ends all server processes at once, without a word to their clients. */
  kill(): Promise<void>;
  /**
   * Kills all server processes with SIGKILL, the postmaster too, and starts it again at the same port, upon which it
   * recovers from its write-ahead log; resolves when it answers.
   */
  crash(): Promise<void>;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const SUPERUSER = "postgres";
const START_ATTEMPTS = 3;
const RESTART_ATTEMPTS = 50;
const RESTART_PAUSE_MILLIS = 100;
const PATIENCE_MILLIS = 2_000;
const DEBIAN_DIRECTORY = "/usr/lib/postgresql";
/** Nothing here has to survive a power cut, and no test waits long for a deadlock. */
const SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  autovacuum: "off",
  max_connections: "200",
  deadlock_timeout: "100ms",
  max_prepared_transactions: "0",
};
export type PostgresSettings = Partial<typeof SETTINGS>;

const run = promisify(execFile);

/**
 * Starts an empty PostgreSQL on a free loopback port, its files in a temporary directory; `changed` are settings that are
 * not to be those of other tests.
 *
 * Without one on this machine it prints that the tests are skipped and resolves to `undefined`; in CI (`CI=true`) that is
 * an error.
 */
export async function startPostgresServer(changed: PostgresSettings = {}): Promise<PostgresServerProcess | undefined> {
  const programs = await findPrograms();
  if (programs === undefined) return skip();
  const account = await accountOf(SUPERUSER);
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-postgres-"));
  if (account !== undefined) await chown(directory, account.uid, account.gid);
  const where = { cwd: directory, ...account };
  const data = join(directory, "data");
  await run(
    join(programs, "initdb"),
    ["--no-sync", "--auth=trust", "--no-locale", "--encoding=UTF8", `--username=${SUPERUSER}`, `--pgdata=${data}`],
    where,
  );
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(join(programs, "postgres"), data, { ...SETTINGS, ...changed }, where, await findFreePort());
    } catch (error) {
      // Another process may have taken the port between our look and the server's.
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function start(
  program: string,
  data: string,
  changed: typeof SETTINGS,
  where: { readonly cwd: string },
  port: number,
): Promise<PostgresServerProcess> {
  const directory = where.cwd;
  const settings = { ...changed, listen_addresses: HOST, unix_socket_directories: directory };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  let server: ChildProcess;
  let ended: Promise<unknown>;
  const launch = async (): Promise<void> => {
    const started = spawn(program, ["-D", data, "-p", String(port), ...options], {
      ...where,
      stdio: ["ignore", "ignore", "pipe"],
    });
    server = started;
    ended = new Promise((resolve) => started.once("exit", resolve));
    await new Promise<void>((resolve, reject) => {
      let said = "";
      started.once("error", reject);
      started.once("exit", (code) => reject(new Error(`postgres ended at its start with code ${code}: ${said}`)));
      started.stderr.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-2_000);
        if (said.includes("ready to accept connections")) resolve();
      });
    });
  };
  await launch();

  const url = (database: string, user = SUPERUSER): string => `postgres://${user}@${HOST}:${port}/${database}`;
  const ask = async (text: string, values: readonly string[] = []): Promise<void> => {
    const client = new Client({ connectionString: url(SUPERUSER) });
    await client.connect();
    try {
      await client.query(text, [...values]);
    } finally {
      await client.end();
    }
  };
  let databases = 0;
  return {
    port,
    url,
    async createDatabase() {
      const name = `test_${++databases}`;
      await ask(`CREATE DATABASE ${name}`);
      return url(name);
    },
    async terminateBackends(address) {
      const text = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
      await ask(text, [new URL(address).pathname.slice(1)]);
    },
    async kill() {
      server.kill("SIGQUIT");
      await ended;
    },
    async crash() {
      // Stopped, it starts no other and buries none: the ids of those that it started stay theirs until it is gone.
      server.kill("SIGSTOP");
      try {
        for (const id of await childrenOf(server.pid!)) process.kill(id, "SIGKILL");
      } finally {
        server.kill("SIGKILL");
      }
      await ended;
      for (let attempt = 1; ; attempt++) {
        try {
          return await launch();
        } catch (error) {
          // The last of the killed may still hold their shared memory.
          if (attempt === RESTART_ATTEMPTS) throw error;
          await sleep(RESTART_PAUSE_MILLIS);
        }
      }
    },
    async stop() {
      // Lets clients that are leaving go; after a while, those that stay as well.
      server.kill("SIGTERM");
      const timer = setTimeout(() => server.kill("SIGINT"), PATIENCE_MILLIS);
      await ended;
      clearTimeout(timer);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The ids of the processes that a process has started. */
async function childrenOf(id: number): Promise<readonly number[]> {
  // It answers with 1 where there is none, as while PostgreSQL recovers from another kill.
  const none = 1;
  const found = await run("pgrep", ["-P", String(id)]).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === none) return { stdout: "" };
    throw error;
  });
  return found.stdout.split("\n").filter(Boolean).map(Number);
}

/** The directory of the newest version's server. Its client's packages alone tell of one that is not there. */
async function findPrograms(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_DIRECTORY).catch(() => []);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  const found =
    newest === undefined
      ? await run("pg_config", ["--bindir"]).then(
          ({ stdout }) => stdout.trim(),
          () => undefined,
        )
      : join(DEBIAN_DIRECTORY, newest, "bin");
  return found !== undefined && existsSync(join(found, "initdb")) ? found : undefined;
}

/** PostgreSQL refuses to run as root: then it runs as its own user. */
async function accountOf(name: string): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = await Promise.all(["-u", "-g"].map(async (option) => (await run("id", [option, name])).stdout));
  return { uid: Number(uid), gid: Number(gid) };
}

function skip(): undefined {
  const reason = "PostgreSQL is not installed";
  if (process.env["CI"] === "true") throw new Error(`${reason}, and CI must not skip what needs it`);
  console.log(`skipped: ${reason}`);
  return undefined;
}
