import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startPostgresServer } from "../support/postgres-server.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { judge, recoveryTimes } from "./oracle.ts";
import type { Books } from "./oracle.ts";
import { drawFrom, drawStrike } from "./plan.ts";
import { faultText, parseFault } from "./points.ts";
import type { Result } from "./run.ts";

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
    expect(result).toMatchObject({ balanced: true, settled: true });
    expect(result.kills).toBeGreaterThanOrEqual(4);
    expect(result.transactions).toBeGreaterThan(20);
  },
);

const TRANSFER = { id: "t1", transactionId: "x1", boot: "producer-0/1", at: 100 };
const effectOf = (consumer: string, transferId = "t1", at = 200) => ({ consumer, messageId: "m", transferId, at });
const booksOf = (effects: Books["effects"]): Books => ({ transfers: [TRANSFER], effects, total: 40_000_000 });
const both = [effectOf("credit"), effectOf("entry")];

test("the oracle finds nothing wrong with a transfer that both consumers saw once", () => {
  expect(judge(booksOf(both), new Map(), new Set())).toEqual({ lost: [], phantom: [], doubled: [], balanced: true });
});

test("the oracle sees what is lost, invented and doubled", () => {
  expect(judge(booksOf([effectOf("credit")]), new Map(), new Set()).lost).toHaveLength(1);
  expect(judge(booksOf([effectOf("credit")]), new Map(), new Set(["x1"])).lost).toEqual([]);
  expect(judge(booksOf(both), new Map([["t2", "x2"]]), new Set()).lost).toEqual(["refusal t2"]);
  expect(judge(booksOf(both), new Map([["t2", "x2"]]), new Set(["x2"])).lost).toEqual([]);
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

test("a seed draws the same plan again, and its faults pass through the environment unchanged", () => {
  const planOf = (seed: number) => {
    const draw = drawFrom(seed);
    return Array.from({ length: 50 }, () => drawStrike(draw, 1_000));
  };
  expect(planOf(7)).toEqual(planOf(7));
  expect(planOf(7)).not.toEqual(planOf(8));
  for (const strike of planOf(7)) {
    if (strike.target !== "process" || strike.next === undefined) continue;
    expect(parseFault(faultText(strike.next))).toEqual(strike.next);
  }
});
