import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { NotInstalledError } from "./options.ts";
import type { Processes } from "./processes.ts";

/** A PostgreSQL of the demo's own. */
export interface Postgres {
  readonly url: string;
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** Where Debian has each version's programs. */
const DEBIAN_FOLDER = "/usr/lib/postgresql";
const HINT = "On Debian and Ubuntu: apt-get install postgresql. Without it: --database sqlite, or pglite.";

/** The folder of the newest version's server; `undefined` where there is none, or its client's packages alone. */
export async function findPostgres(): Promise<string | undefined> {
  const versions = existsSync(DEBIAN_FOLDER) ? readdirSync(DEBIAN_FOLDER) : [];
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  const found =
    newest === undefined
      ? await run("pg_config", ["--bindir"]).then(
          ({ stdout }) => stdout.trim(),
          () => undefined,
        )
      : join(DEBIAN_FOLDER, newest, "bin");
  return found !== undefined && existsSync(join(found, "initdb")) ? found : undefined;
}

/**
 * Starts an empty PostgreSQL on a free loopback port; resolves when it takes connections.
 *
 * @throws {NotInstalledError} where there is none on this machine.
 */
export async function startPostgres(processes: Processes, folder: string): Promise<Postgres> {
  const programs = await findPostgres();
  if (programs === undefined)
    throw new NotInstalledError(`--database postgres: expected a PostgreSQL on this machine, found none. ${HINT}`);
  const account = await accountOfServer();
  const home = join(folder, "postgres");
  const data = join(home, "data");
  const passwordFile = join(home, "password");
  const password = randomBytes(16).toString("hex");
  mkdirSync(home);
  writeFileSync(passwordFile, password);
  if (account !== undefined) {
    chmodSync(folder, 0o711);
    for (const path of [home, passwordFile]) chownSync(path, account.uid, account.gid);
  }
  const initialize = ["--username=shop", `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--encoding=UTF8"];
  await run(join(programs, "initdb"), [...initialize, "--no-locale", "--no-sync", `--pgdata=${data}`], {
    cwd: home,
    ...account,
  });

  const port = await freePort();
  const settings = [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories="];
  return new Promise((resolve) => {
    const server = processes.start("postgres", {
      program: join(programs, "postgres"),
      args: ["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
      env: {},
      cwd: home,
      ...account,
      // It ends its own processes, and then itself.
      killSignal: "SIGQUIT",
      onLine: (line) => {
        if (!line.includes("ready to accept connections")) return;
        const url = `postgres://shop:${password}@127.0.0.1:${port}/postgres`;
        resolve({ url, stop: () => server.end("SIGINT") });
      },
    });
  });
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package has made. */
async function accountOfServer(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const [uid, gid] = await Promise.all(
      ["-u", "-g"].map(async (flag) => (await run("id", [flag, "postgres"])).stdout),
    );
    return { uid: Number(uid), gid: Number(gid) };
  } catch {
    throw new NotInstalledError(
      `--database postgres: expected the user "postgres", as PostgreSQL does not run as root, found none. ${HINT}`,
    );
  }
}
