import { existsSync } from "node:fs";
import { execFile, spawn } from "node:child_process";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import type { Connection } from "mysql2/promise";
import { findFreePort } from "./redis-server.ts";

/** A MariaDB of this test's own. */
export interface MariadbServerProcess {
  readonly port: number;
  /** An administrator's connection. */
  readonly admin: Connection;
  /** Makes an empty database; resolves to how clients reach it. */
  createDatabase(): Promise<MariadbAddress>;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
}

/** How clients reach a database. */
export interface MariadbAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

const HOST = "127.0.0.1";
const SUPERUSER = "root";
const ACCOUNT = "mysql";
const START_ATTEMPTS = 3;
const DEBIAN_PROGRAM = "/usr/sbin/mariadbd";
/** Nothing here has to survive a power cut. */
const SETTINGS = [
  "--innodb-flush-log-at-trx-commit=0",
  "--innodb-doublewrite=0",
  "--innodb-buffer-pool-size=32M",
  "--innodb-log-file-size=16M",
  "--performance-schema=OFF",
  "--skip-log-bin",
  "--skip-name-resolve",
];

const run = promisify(execFile);

/**
 * Starts an empty MariaDB on a free loopback port, its files in a temporary directory.
 *
 * Without one on this machine it prints that the tests are skipped and resolves to `undefined`; in CI (`CI=true`) that is
 * an error.
 */
export async function startMariadbServer(): Promise<MariadbServerProcess | undefined> {
  if (!existsSync(DEBIAN_PROGRAM)) return skip();
  const account = await accountOf(ACCOUNT);
  const directory = await mkdtemp(join(tmpdir(), "aftercommit-mariadb-"));
  if (account !== undefined) await chown(directory, account.uid, account.gid);
  const data = join(directory, "data");
  try {
    await run("mariadb-install-db", [
      "--no-defaults",
      `--datadir=${data}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      "--skip-name-resolve",
      ...(account === undefined ? [] : [`--user=${ACCOUNT}`]),
    ]);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return skip();
    throw error;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(directory, data, account ?? {}, await findFreePort());
    } catch (error) {
      // Another process may have taken the port between our look and the server's.
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function start(
  directory: string,
  data: string,
  account: Account | {},
  port: number,
): Promise<MariadbServerProcess> {
  const files = [`--datadir=${data}`, `--socket=${join(directory, "socket")}`, `--pid-file=${join(directory, "pid")}`];
  const where = [`--bind-address=${HOST}`, `--port=${port}`, `--tmpdir=${directory}`];
  const server = spawn(DEBIAN_PROGRAM, ["--no-defaults", ...files, ...where, ...SETTINGS], {
    cwd: directory,
    ...account,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  await new Promise<void>((resolve, reject) => {
    let said = "";
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`mariadbd ended at its start with code ${code}: ${said}`)));
    server.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
      if (said.includes("ready for connections")) resolve();
    });
  });

  const admin = await createConnection({ host: HOST, port, user: SUPERUSER }).catch((error: unknown) => {
    server.kill("SIGKILL");
    throw error;
  });
  let databases = 0;
  return {
    port,
    admin,
    async createDatabase() {
      const database = `test_${++databases}`;
      await admin.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
      return { host: HOST, port, user: SUPERUSER, database };
    },
    async stop() {
      admin.destroy();
      // It would wait for its clients at the polite signal.
      server.kill("SIGKILL");
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** MariaDB refuses to run as root: then it runs as its own user. */
async function accountOf(name: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const [uid, gid] = await Promise.all(["-u", "-g"].map(async (option) => (await run("id", [option, name])).stdout));
    return { uid: Number(uid), gid: Number(gid) };
  } catch {
    // No such user: there is no such server either.
    return undefined;
  }
}

function skip(): undefined {
  const reason = "MariaDB is not installed";
  if (process.env["CI"] === "true") throw new Error(`${reason}, and CI must not skip what needs it`);
  console.log(`skipped: ${reason}`);
  return undefined;
}
