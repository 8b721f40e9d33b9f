import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDevServer } from "aftercommit/dev";
import { redis } from "aftercommit/redis";
import { nodePostgres } from "aftercommit/sql";
import { Pool } from "pg";
import { createClient } from "redis";
import { startPostgresServer } from "../support/postgres-server.ts";
import { findFreePort, startRedisServer } from "../support/redis-server.ts";
import { NAMESPACE } from "./bank.ts";
import { openAccounts } from "./books.ts";
import { startChaosRedis } from "./chaos-redis.ts";
import { AT_RANDOM, startMember } from "./members.ts";
import type { Fact, Kill, Member, Surroundings } from "./members.ts";
import type { ChaosOptions } from "./options.ts";
import { judge, readBooks } from "./oracle.ts";
import type { Registered } from "./oracle.ts";
import { createPlan, drawFrom } from "./plan.ts";
import type { Role } from "./points.ts";
import { buildProgram } from "./program.ts";
import { resultOf } from "./result.ts";
import type { Result } from "./result.ts";
import { readWaiting, settle } from "./settle.ts";
import { strike } from "./strikes.ts";

const MEMBERS: readonly Role[] = ["producer", "producer", "consumer", "consumer", "sweeper", "sweeper"];
/** The share of delivered messages that QStash delivers once more. */
const DUPLICATE_RATE = 0.05;
const RETRIES_LIMIT = 20;
/** Those of some minutes: each look through them takes time. */
const EVENTS_KEPT = 40_000;
/** After so many ends of processes that no one gave them, the run is of no use. */
const MOST_CRASHES = 20;

/** Runs the bank under kills, lets it recover, and looks at its books. `undefined` where a server is not installed. */
export async function runChaos(options: ChaosOptions, say: (text: string) => void): Promise<Result | undefined> {
  const { level, seed } = options;
  const startedAt = Date.now();
  const found = await startRedisServer();
  if (found === undefined) return undefined;
  await found.stop();
  // A long run leaves many dead rows behind.
  const postgres = await startPostgresServer({ autovacuum: "on" });
  if (postgres === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "aftercommit-chaos-"));
  const ends: (() => unknown)[] = [() => postgres.stop(), () => rmSync(folder, { recursive: true, force: true })];
  const members: Member[] = [];
  let endRedis = (): void => undefined;
  /** Also where this program is ended by a signal. */
  const atExit = (): void => {
    for (const member of members) member.end();
    endRedis();
    void postgres.kill();
  };
  process.once("exit", atExit);
  try {
    const program = await buildProgram(folder);
    const store = await startChaosRedis(folder, drawFrom(seed + 1));
    endRedis = () => store.end();
    ends.unshift(endRedis);
    const dev = await startDevServer({
      qstash: {
        duplicateRate: DUPLICATE_RATE,
        retriesLimit: RETRIES_LIMIT,
        maxConcurrency: 40,
        maxEvents: EVENTS_KEPT,
      },
    });
    ends.unshift(() => dev.close());
    const postgresUrl = await postgres.createDatabase();
    const pool = new Pool({ connectionString: postgresUrl, max: 3, connectionTimeoutMillis: 2_000 });
    pool.on("error", () => undefined);
    ends.unshift(() => pool.end());
    const database = nodePostgres(pool);
    await database.createTables();
    await openAccounts(pool);
    const client = createClient({ url: store.url, socket: { reconnectStrategy: () => 50 } });
    client.on("error", () => undefined);
    await client.connect();
    ends.unshift(() => client.destroy());

    const { url, token, currentSigningKey, nextSigningKey } = dev.qstash;
    const consumerPorts = [await findFreePort(), await findFreePort()] as const;
    const surroundings: Surroundings = {
      level,
      postgresUrl,
      redisUrl: store.url,
      qstash: { url, token, currentSigningKey, nextSigningKey },
      consumerPorts,
    };
    const plan = createPlan(drawFrom(seed), options);
    const kills: Kill[] = [];
    const registered = new Map<string, Registered>();
    const crashes: string[] = [];
    let giveUp: (error: Error) => void = () => undefined;
    const gaveUp = new Promise<never>((_, reject) => (giveUp = reject));
    gaveUp.catch(() => undefined);
    const told = {
      onFact({ registered: one }: Fact) {
        if (one !== undefined) registered.set(one.id, { transactionId: one.transactionId, at: Date.now() });
      },
      onKill(kill: Kill) {
        kills.push(kill);
        if (kill.how !== AT_RANDOM) plan.met(kill.how);
      },
      onCrash(crash: string) {
        crashes.push(crash);
        if (crashes.length === MOST_CRASHES) giveUp(new Error(`Expected processes that run on, found ${crash}`));
      },
    };
    const unlessGivenUp = <T>(work: Promise<T>): Promise<T> => Promise.race([work, gaveUp]);
    let consumers = 0;
    for (const [index, role] of MEMBERS.entries()) {
      const port = role === "consumer" ? { port: consumerPorts[consumers++]! } : {};
      members.push(startMember(program, `${role}-${index}`, { ...surroundings, role, ...port }, told));
    }
    ends.unshift(() => members.forEach((member) => member.end()));
    await unlessGivenUp(Promise.all(members.map((member) => member.calm())));

    const struckAt = Date.now();
    await unlessGivenUp(strike(plan, { members, redis: store, postgres, postgresUrl }, options, kills, say));
    const strikeMillis = Date.now() - struckAt;

    say("Waiting until what the kills left behind is settled\n");
    await unlessGivenUp(Promise.all(members.map((member) => member.calm())));
    const producers = members.filter(({ role }) => role === "producer");
    await unlessGivenUp(Promise.all(producers.map((member) => member.stop())));
    const { reader } = redis(client, { namespace: NAMESPACE });
    const leftovers = { pool, rows: database.reader, records: reader, idle: () => dev.qstash.engine.idle() };
    const settled = await unlessGivenUp(settle(leftovers));
    await Promise.all(members.map((member) => member.stop()));

    const waiting = await readWaiting(leftovers);
    const books = await readBooks(pool);
    const verdicts = judge(books, registered, waiting.all);
    return resultOf({
      options,
      strikeMillis,
      millis: Date.now() - startedAt,
      kills,
      crashes,
      books,
      verdicts,
      waiting,
      settled,
    });
  } finally {
    process.removeListener("exit", atExit);
    for (const end of ends) await end();
  }
}
