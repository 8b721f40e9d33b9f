import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startPostgresServer } from "../support/postgres-server.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { ACCOUNTS, CENTS_EACH } from "./books.ts";
import { REDIS_LOSSES } from "./chaos-redis.ts";
import { deliveryTimes, judge, recoveryTimes, traceLosses, UNTRACED } from "./oracle.ts";
import type { Books } from "./oracle.ts";
import { createPlan, drawFrom } from "./plan.ts";
import type { PlanOptions } from "./plan.ts";
import { faultText, parseFault, PLACES, placeText } from "./points.ts";
import { countPoints } from "./result.ts";
import type { Result } from "./result.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

const redis = await startRedisServer();
const postgres = redis === undefined ? undefined : await startPostgresServer();
await Promise.all([redis?.stop(), postgres?.stop()]);

test.skipIf(postgres === undefined)(
  "a bank whose processes, Redis and PostgreSQL are killed loses, invents and doubles no transfer",
  { timeout: 240_000 },
  async () => {
    const args = ["--conditions=aftercommit-source", MAIN, "--kills", "12", "--seconds", "14", "--seed", "4", "--json"];
    const { PATH, CI } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: { PATH, ...(CI === undefined ? {} : { CI }) },
    });
    const result = JSON.parse(stdout) as Result;
    expect(result.offenders).toEqual([]);
    expect(result).toMatchObject({ lost: 0, phantom: 0, doubled: 0, inDoubt: 0, dead: 0 });
    expect(result).toMatchObject({ balanced: true, settled: true, crashes: 0 });
    expect(result.kills).toBeGreaterThanOrEqual(4);
    expect(result.transactions).toBeGreaterThan(20);
  },
);

const TRANSFER = { id: "t1", transactionId: "x1", boot: "producer-0/1", at: 100 };
const REGISTERED = { transactionId: "x2", at: 50 };
const effectOf = (consumer: string, transferId = "t1", at = 200) => ({ consumer, messageId: "m", transferId, at });
const TOTAL = ACCOUNTS * CENTS_EACH;
const booksOf = (effects: Books["effects"]): Books => ({ transfers: [TRANSFER], effects, total: TOTAL });
const both = [effectOf("credit"), effectOf("entry")];

test("the oracle finds nothing wrong with a transfer that both consumers saw once", () => {
  expect(judge(booksOf(both), new Map(), new Set())).toEqual({ lost: [], phantom: [], doubled: [], balanced: true });
});

test("the oracle sees what is lost, invented and doubled", () => {
  expect(judge(booksOf([effectOf("credit")]), new Map(), new Set()).lost).toHaveLength(1);
  expect(judge(booksOf([effectOf("credit")]), new Map(), new Set(["x1"])).lost).toEqual([]);
  expect(judge(booksOf(both), new Map([["t2", REGISTERED]]), new Set()).lost).toEqual([{ name: "refusal t2", at: 50 }]);
  expect(judge(booksOf(both), new Map([["t2", REGISTERED]]), new Set(["x2"])).lost).toEqual([]);
  expect(judge(booksOf([...both, effectOf("credit", "t2")]), new Map(), new Set()).phantom).toHaveLength(1);
  expect(judge(booksOf([...both, effectOf("refusal")]), new Map(), new Set()).phantom).toHaveLength(1);
  expect(judge(booksOf([...both, effectOf("entry")]), new Map(), new Set()).doubled).toHaveLength(1);
  expect(judge({ ...booksOf(both), total: 1 }, new Map(), new Set()).balanced).toBe(false);
});

test("a recovery lasts from the kill until the last transfer that it cut off is delivered", () => {
  const books = booksOf([effectOf("credit", "t1", 300), effectOf("entry", "t1", 900)]);
  const kill = { at: 150, target: "producer", how: "at random", boot: "producer-0/1" };
  expect(recoveryTimes([kill], books)).toEqual([{ target: "producer", millis: 750 }]);
  expect(recoveryTimes([{ ...kill, boot: "producer-1/1" }], books)).toEqual([]);
  expect(recoveryTimes([{ at: 950, target: "redis", how: "FLUSHALL" }], books)).toEqual([]);
});

test("a delivery lasts from the commit until the last effect, and one that is not delivered has no time", () => {
  const books = booksOf([effectOf("credit", "t1", 300), effectOf("entry", "t1", 900)]);
  expect(deliveryTimes(books)).toEqual([800]);
  expect(deliveryTimes(booksOf([effectOf("credit")]))).toEqual([]);
});

test("a lost message is traced to the first loss of Redis that took data after it was there", () => {
  const lossAt = (at: number, how: string) => ({ at, target: "redis", how });
  const kills = [lossAt(100_000, "FLUSHALL"), lossAt(50_000, "AOF gone"), lossAt(49_000, "killed")];
  const lostAt = (...times: readonly number[]) => times.map((at) => ({ name: "credit t1", at }));
  expect(traceLosses(lostAt(48_000, 51_000, 52_500), kills)).toEqual({ "AOF gone": 2, FLUSHALL: 1 });
  expect(traceLosses(lostAt(200_000), kills)).toEqual({ [UNTRACED]: 1 });
  expect(traceLosses(lostAt(1), [{ at: 2, target: "postgres", how: "postmaster" }])).toEqual({ [UNTRACED]: 1 });
});

const EVERY: PlanOptions = { everyMillis: 1_000, keepRedis: false };
const drawn = (seed: number, count: number, options = EVERY) => {
  const plan = createPlan(drawFrom(seed), options);
  return Array.from({ length: count }, () => plan.next());
};
const armed = (strikes: ReturnType<typeof drawn>) =>
  strikes.flatMap((strike) => (strike.target === "process" && strike.next !== undefined ? [strike.next] : []));

test("a seed draws the same plan again, and its faults pass through the environment unchanged", () => {
  expect(drawn(7, 50)).toEqual(drawn(7, 50));
  expect(drawn(7, 50)).not.toEqual(drawn(8, 50));
  for (const fault of armed(drawn(7, 50))) expect(parseFault(faultText(fault))).toEqual(fault);
});

test("the first kills of a plan lead processes to both sides of every point, whatever the seed", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const first = armed(drawn(seed, 200)).slice(0, PLACES.length);
    expect(new Set(first.map(placeText))).toEqual(new Set(PLACES.map(placeText)));
  }
});

test("a plan leads to a place again until it is met, and then leaves it to chance", () => {
  const plan = createPlan(drawFrom(3), EVERY);
  const place = placeText(PLACES[0]!);
  const next = (): string | undefined => armed([plan.next()]).map(placeText)[0];
  const placesUntil = (): number => {
    for (let places = 1; ; places++) if (next() === place) return places;
  };
  placesUntil();
  expect(placesUntil()).toBeLessThan(4 * PLACES.length);
  for (const one of PLACES) plan.met(placeText(one));
  const later = armed(Array.from({ length: 300 }, () => plan.next()));
  expect(later.some(({ nth }) => nth > 1)).toBe(true);
});

test("a plan kills PostgreSQL whole and in part, and loses Redis in every way unless it is to keep it", () => {
  const strikes = drawn(5, 500);
  const losses = new Set(strikes.flatMap((strike) => (strike.target === "redis" ? [strike.loss] : [])));
  expect([...losses].toSorted()).toEqual([...REDIS_LOSSES].toSorted());
  const wholes = new Set(strikes.flatMap((strike) => (strike.target === "postgres" ? [strike.whole] : [])));
  expect(wholes).toEqual(new Set([true, false]));
  for (const strike of drawn(5, 500, { ...EVERY, keepRedis: true }))
    if (strike.target === "redis") expect(strike.loss).toBe("killed");
});

test("a result tells of every side of every point, met or not", () => {
  const kill = { at: 1, target: "producer", how: "P6_commit:after", boot: "producer-0/1" };
  const points = countPoints([kill, kill, { ...kill, how: "at random" }]);
  expect(Object.keys(points)).toEqual(PLACES.map(placeText));
  expect(points).toMatchObject({ "P6_commit:after": 2, "P6_commit:before": 0 });
});
