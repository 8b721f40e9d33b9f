import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startDevServer } from "aftercommit/dev";
import { redis } from "aftercommit/redis";
import { nodePostgres } from "aftercommit/sql";
import { Pool } from "pg";
import { createClient } from "redis";
import { startPostgresServer } from "../support/postgres-server.ts";
import { findFreePort, startRedisServer } from "../support/redis-server.ts";
import { NAMESPACE, SOURCE } from "./bank.ts";
import { openAccounts } from "./books.ts";
import { startChaosRedis } from "./chaos-redis.ts";
import { startMember } from "./members.ts";
import type { Fact, Kill, Member, Surroundings } from "./members.ts";
import type { ChaosOptions } from "./options.ts";
import { judge, percentile, readBooks, recoveryTimes } from "./oracle.ts";
import { drawFrom, drawStrike } from "./plan.ts";
import type { Recovery } from "./oracle.ts";
import type { Role } from "./points.ts";

/** What a run showed. */
export interface Result {
  readonly kills: number;
  /** Committed transfers. */
  readonly transactions: number;
  readonly lost: number;
  readonly phantom: number;
  readonly doubled: number;
  /** Transactions that were left without an outcome at the end, for a person to decide. */
  readonly inDoubt: number;
  /** Deliveries that were given up, for a person to look at. */
  readonly dead: number;
  readonly recoveryP50Millis: number;
  readonly recoveryP99Millis: number;
  readonly level: ChaosOptions["level"];
  readonly seed: number;
  readonly everyMillis: number;
  readonly seconds: number;
  /** How many kills had cut something off, and were measured. */
  readonly recoveries: number;
  /** The same by what was killed, in milliseconds. */
  readonly recoveryOf: Readonly<Record<string, { readonly p50: number; readonly longest: number }>>;
  /** All money is there. */
  readonly balanced: boolean;
  /** Nothing was left to do at the end. */
  readonly settled: boolean;
  /** The kills by what they hit. */
  readonly killsOf: Readonly<Record<string, number>>;
  /** The first of each that contradict, by name. */
  readonly offenders: readonly string[];
}

const MEMBERS: readonly Role[] = ["producer", "producer", "consumer", "consumer", "sweeper", "sweeper"];
/** The share of delivered messages that QStash delivers once more. */
const DUPLICATE_RATE = 0.05;
const RETRIES_LIMIT = 20;
const POLL_MILLIS = 250;
const SETTLE_LIMIT_MILLIS = 90_000;
/** How long nothing changes before it is believed to be settled. */
const QUIET_MILLIS = 3_000;
const MOST_OFFENDERS = 20;
/** More than a run leaves to a person. */
const PAGE = { limit: 500 };

/** Runs the bank under kills, lets it recover, and looks at its books. `undefined` where a server is not installed. */
export async function runChaos(options: ChaosOptions, say: (text: string) => void): Promise<Result | undefined> {
  const { level, seed } = options;
  const startedAt = Date.now();
  const draw = drawFrom(seed);
  const found = await startRedisServer();
  if (found === undefined) return undefined;
  await found.stop();
  const postgres = await startPostgresServer();
  if (postgres === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "aftercommit-chaos-"));
  const ends: (() => unknown)[] = [() => postgres.stop(), () => rmSync(folder, { recursive: true, force: true })];
  /** Also where this program is ended by a signal. */
  const members: Member[] = [];
  let endRedis = (): void => undefined;
  const atExit = (): void => {
    for (const member of members) member.end();
    endRedis();
    void postgres.kill();
  };
  process.once("exit", atExit);
  try {
    const store = await startChaosRedis(folder, draw);
    endRedis = () => store.end();
    ends.unshift(() => store.end());
    const dev = await startDevServer({
      qstash: { duplicateRate: DUPLICATE_RATE, retriesLimit: RETRIES_LIMIT, maxConcurrency: 40 },
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
    const log = redis(client, { namespace: NAMESPACE });

    const { url, token, currentSigningKey, nextSigningKey } = dev.qstash;
    const consumerPorts = [await findFreePort(), await findFreePort()] as const;
    const surroundings: Surroundings = {
      level,
      postgresUrl,
      redisUrl: store.url,
      qstash: { url, token, currentSigningKey, nextSigningKey },
      consumerPorts,
    };
    const kills: Kill[] = [];
    const registered = new Map<string, string>();
    let crash: (error: Error) => void = () => undefined;
    const crashed = new Promise<never>((_, reject) => (crash = reject));
    crashed.catch(() => undefined);
    const told = {
      onFact({ registered: one }: Fact) {
        if (one !== undefined) registered.set(one.id, one.transactionId);
      },
      onKill: (kill: Kill) => void kills.push(kill),
      onCrash: (error: Error) => crash(error),
    };
    let consumers = 0;
    for (const [index, role] of MEMBERS.entries()) {
      const port = role === "consumer" ? { port: consumerPorts[consumers++]! } : {};
      members.push(startMember(`${role}-${index}`, { ...surroundings, role, ...port }, told));
    }
    ends.unshift(() => members.forEach((member) => member.end()));
    await Promise.race([Promise.all(members.map((member) => member.calm())), crashed]);

    /** Makes the kills of the plan, one after the other. */
    const strike = async (): Promise<void> => {
      const until = Date.now() + options.seconds * 1_000;
      let heard = 0;
      while (kills.length < options.kills && Date.now() < until) {
        const next = drawStrike(draw, options.everyMillis);
        await sleep(next.afterMillis);
        if (next.target === "process") {
          const those = members.filter(({ role }) => role === next.role);
          those[Math.floor(next.which * those.length)]!.kill(next.next);
        } else if (next.target === "redis") {
          kills.push({ at: Date.now(), target: "redis", how: next.loss });
          if (next.loss === "FLUSHALL") await client.flushAll();
          else await store.lose(next.loss, next.downMillis);
        } else {
          await crashPostgres(postgresUrl);
          kills.push({ at: Date.now(), target: "postgres", how: "crash restart" });
        }
        if (kills.length - heard >= 10) say(`${(heard = kills.length)} kills\n`);
      }
    };
    await Promise.race([strike(), crashed]);

    say("Waiting until what the kills left behind is settled\n");
    await Promise.race([Promise.all(members.map((member) => member.calm())), crashed]);
    const producers = members.filter(({ role }) => role === "producer");
    await Promise.race([Promise.all(producers.map((member) => member.stop())), crashed]);

    const look = async () => {
      const [books, rows, records] = [
        await readBooks(pool),
        await database.reader.counts(SOURCE),
        await log.reader.counts(),
      ];
      const doubtful = new Set<string>();
      for (const { transactionId, found } of (await database.reader.listUnsettled(SOURCE, PAGE)).items)
        if (found.state === "intended") doubtful.add(transactionId);
      for (const { transactionId } of (await log.reader.listHeld(PAGE)).items) doubtful.add(transactionId);
      const waiting = new Set(doubtful);
      for (const { transactionId } of (await database.reader.listDead(SOURCE, PAGE)).items) waiting.add(transactionId);
      for (const { record } of (await log.reader.listDead(PAGE)).items) waiting.add(record.transactionId);
      const left = rows.unsettled + records.unsettled;
      const dead = rows.dead + records.dead;
      return { books, left, dead, doubtful, verdicts: judge(books, registered, waiting) };
    };
    const settle = async () => {
      const limit = Date.now() + SETTLE_LIMIT_MILLIS;
      let quietSince = Date.now();
      let effects = -1;
      for (;;) {
        const found = await look().catch(() => undefined);
        if (found === undefined) {
          // PostgreSQL is still recovering from its last kill.
          if (Date.now() > limit) throw new Error("Expected PostgreSQL to answer again after its last kill.");
          await sleep(POLL_MILLIS);
          continue;
        }
        const idle = await Promise.race([
          dev.qstash.engine.idle().then(() => true),
          sleep(POLL_MILLIS).then(() => false),
        ]);
        if (found.left > 0 || !idle || found.books.effects.length !== effects) quietSince = Date.now();
        effects = found.books.effects.length;
        const settled = Date.now() - quietSince >= QUIET_MILLIS;
        if (settled || Date.now() > limit) return { ...found, settled };
        await sleep(POLL_MILLIS);
      }
    };
    const { books, dead, doubtful, verdicts, settled } = await Promise.race([settle(), crashed]);
    await Promise.all(members.map((member) => member.stop()));

    const recoveries = recoveryTimes(kills, books);
    const times = recoveries.map(({ millis }) => millis);
    const { lost, phantom, doubled, balanced } = verdicts;
    const offenders = [
      ...lost.slice(0, MOST_OFFENDERS).map((one) => `lost: ${one}`),
      ...phantom.slice(0, MOST_OFFENDERS).map((one) => `phantom: ${one}`),
      ...doubled.slice(0, MOST_OFFENDERS).map((one) => `doubled: ${one}`),
    ];
    return {
      kills: kills.length,
      transactions: books.transfers.length,
      lost: lost.length,
      phantom: phantom.length,
      doubled: doubled.length,
      inDoubt: doubtful.size,
      dead,
      recoveryP50Millis: percentile(times, 0.5),
      recoveryP99Millis: percentile(times, 0.99),
      level,
      seed,
      seconds: Math.round((Date.now() - startedAt) / 1_000),
      everyMillis: options.everyMillis,
      recoveries: times.length,
      recoveryOf: recoveryOf(recoveries),
      balanced,
      settled,
      killsOf: countKills(kills),
      offenders,
    };
  } finally {
    process.removeListener("exit", atExit);
    for (const end of ends) await end();
  }
}

/** Kills one backend of PostgreSQL: its postmaster then ends all others, and recovers from the write-ahead log. */
async function crashPostgres(url: string): Promise<void> {
  const { Client } = await import("pg");
  for (;;) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ readonly pid: number }>("select pg_backend_pid() as pid");
      process.kill(rows[0]!.pid, "SIGKILL");
      return;
    } catch {
      // It is recovering from the kill before.
      await sleep(POLL_MILLIS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

function recoveryOf(recoveries: readonly Recovery[]): Result["recoveryOf"] {
  const targets = [...new Set(recoveries.map(({ target }) => target))].toSorted();
  return Object.fromEntries(
    targets.map((target) => {
      const times = recoveries.filter((one) => one.target === target).map(({ millis }) => millis);
      return [target, { p50: percentile(times, 0.5), longest: percentile(times, 1) }];
    }),
  );
}

function countKills(kills: readonly Kill[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { target, how } of kills) counts[`${target}: ${how}`] = (counts[`${target}: ${how}`] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b)));
}
