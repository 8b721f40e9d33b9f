import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { PostgresServerProcess } from "../support/postgres-server.ts";
import type { ChaosRedis } from "./chaos-redis.ts";
import type { Kill, Member } from "./members.ts";
import type { ChaosOptions } from "./options.ts";
import type { Plan, Strike } from "./plan.ts";

/** What is there to be killed. */
export interface Targets {
  readonly members: readonly Member[];
  readonly redis: ChaosRedis;
  readonly postgres: PostgresServerProcess;
  readonly postgresUrl: string;
}

const AGAIN_MILLIS = 250;
const SAID_EVERY = 50;

/**
 * Makes the kills of a plan until there are enough of them. Kills fall side by side, but for those of Redis and those of
 * PostgreSQL, each of which are made one after the other.
 *
 * `kills` has what the members tell of their own; those of Redis and PostgreSQL are added to it.
 */
export async function strike(
  plan: Plan,
  { members, redis, postgres, postgresUrl }: Targets,
  { kills: wanted, seconds }: ChaosOptions,
  kills: Kill[],
  say: (text: string) => void,
): Promise<void> {
  let crashes: Promise<unknown> = Promise.resolve();
  const under: Promise<unknown>[] = [];
  let broken: (error: unknown) => void = () => undefined;
  const breaking = new Promise<never>((_, reject) => (broken = reject));
  breaking.catch(() => undefined);

  const crash = async (whole: boolean): Promise<void> => {
    const at = whole ? Date.now() : await killBackend(postgresUrl);
    if (whole) await postgres.crash();
    kills.push({ at, target: "postgres", how: whole ? "postmaster" : "backend" });
  };
  const make = (next: Strike): void => {
    if (next.target === "process") {
      const those = members.filter(({ role }) => role === next.role);
      const drawn = those[Math.floor(next.which * those.length)]!;
      // One that is going to kill itself at a point is left to that, where there is another.
      const other = drawn.isArmed() ? those.find((member) => !member.isArmed()) : undefined;
      (other ?? drawn).kill(next.next);
    } else if (next.target === "redis") {
      under.push(redis.lose(next).then((at) => kills.push({ at, target: "redis", how: next.loss }), broken));
    } else {
      crashes = crashes.then(() => crash(next.whole));
      under.push(crashes.catch(broken));
    }
  };

  const until = Date.now() + seconds * 1_000;
  for (let said = 0; kills.length < wanted && Date.now() < until;) {
    const next = plan.next();
    await Promise.race([sleep(next.afterMillis), breaking]);
    make(next);
    if (kills.length - said >= SAID_EVERY) say(`${(said = kills.length)} kills\n`);
  }
  await Promise.race([Promise.all(under), breaking]);
}

/**
 * Kills one backend of PostgreSQL: its postmaster then ends all others, and recovers from the write-ahead log. Resolves to
 * when.
 */
async function killBackend(url: string): Promise<number> {
  for (;;) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ readonly pid: number }>("select pg_backend_pid() as pid");
      process.kill(rows[0]!.pid, "SIGKILL");
      return Date.now();
    } catch {
      // It is recovering from the kill before.
      await sleep(AGAIN_MILLIS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
