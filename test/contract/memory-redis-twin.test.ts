import { isDeepStrictEqual } from "node:util";
import { asyncProperty, check } from "fast-check";
import type { RunDetails } from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { redisStore } from "../../adapters/redis/index.ts";
import { memoryStore } from "../../src/memory/index.ts";
import { DEFAULT_START } from "../../src/testing/index.ts";
import { memoryContents, redisContents, STAMP } from "../support/twin-keyspace.ts";
import type { Lives } from "../support/twin-keyspace.ts";
import { startTwinServer } from "../support/twin-redis.ts";
import type { Edit, TwinServer } from "../support/twin-redis.ts";
import { leavesUnstamped, operate, readAll, steps } from "../support/twin-store.ts";
import type { Side, Step } from "../support/twin-store.ts";

const server = await startTwinServer();
const SEQUENCES = server.places > 1 ? 10_000 : 2_000;
const SEED = 20_270_115;
/** A Redis keeps a little longer what a stale call has touched; real time goes by as well. */
const SLACK_MILLIS = 30_000;
const LONGEST_LEASE = 60_000;
const LONGEST_RETENTION = 366 * 86_400_000;

afterAll(() => server.stop());

/** Compares, in the words of a test; the cheap look first, as there are many. */
function same(found: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(found, expected)) expect(found, what).toEqual(expected);
}

/** An entry of the inbox is never forgotten sooner than it may be, nor kept longer than by the longest of its kind. */
function assertLives(found: Lives, expected: Lives, entries: Readonly<Record<string, string>>): void {
  for (const [key, life] of Object.entries(expected)) {
    const longest = entries[key]!.startsWith("L") ? LONGEST_LEASE : LONGEST_RETENTION;
    expect(found[key], `the life of ${key}`).toBeGreaterThan(life - SLACK_MILLIS);
    expect(found[key], `the life of ${key}`).toBeLessThanOrEqual(longest);
  }
}

/** Runs one sequence against both stores, on one clock. */
async function compare(place: number, sequence: readonly Step[], edit?: Edit): Promise<void> {
  let time = DEFAULT_START;
  const now = (): number => time;
  const redis = server.open(place, now, edit);
  await redis.flush();
  const twin = memoryStore({ clock: { now, sleep: async () => {} } });
  const memorySide: Side = { store: twin, now, claims: [] };
  const redisSide: Side = { store: redisStore(redis), now, claims: [] };
  for (const step of sequence) {
    time += step.millis;
    if (step.millis > 1) await redis.age(step.millis);
    const expected = await operate(redisSide, step);
    if (leavesUnstamped(step)) await redis.execute(STAMP);
    same(await operate(memorySide, step), expected, step.name);
  }
  const found = await redisContents(redis);
  const expected = memoryContents(twin.snapshot(), time);
  same(found.contents, expected.contents, "what is kept");
  assertLives(found.lives, expected.lives, expected.contents.inbox);
  same(await readAll(memorySide), await readAll(redisSide), "what is read");
}

interface Compared {
  readonly sequences: number;
  readonly operations: number;
  /** The first difference, with the shortest sequence that shows it. */
  readonly difference: RunDetails<[Step[]]> | undefined;
}

/** Runs sequences, at as many places of the server as there are; ends with the first difference. */
async function compareMany(
  { places }: TwinServer,
  sequences: number,
  { edit, shrink = true }: { readonly edit?: Edit; readonly shrink?: boolean } = {},
): Promise<Compared> {
  let difference: RunDetails<[Step[]]> | undefined;
  let done = 0;
  let operations = 0;
  const atPlace = async (place: number): Promise<void> => {
    const property = asyncProperty(steps, async (sequence) => {
      if (difference !== undefined) return;
      done++;
      operations += sequence.length;
      await compare(place, sequence, edit);
    });
    const share = Math.ceil((sequences - place) / places);
    const details = await check(property, { numRuns: share, seed: SEED + place, endOnFailure: !shrink });
    if (details.failed) difference ??= details;
  };
  await Promise.all(Array.from({ length: places }, (_, place) => atPlace(place)));
  return { sequences: done, operations, difference };
}

/** The error of the shortest sequence, which it names. */
function told({ counterexample, errorInstance, seed, counterexamplePath }: RunDetails<[Step[]]>): unknown {
  if (!(errorInstance instanceof Error)) return errorInstance;
  const sequence = (counterexample?.[0] ?? []).map((step) => JSON.stringify(step)).join("\n  ");
  errorInstance.message += `\nafter this sequence, seed ${seed}, path ${counterexamplePath}:\n  ${sequence}`;
  return errorInstance;
}

test(`the memory store answers ${SEQUENCES} sequences of operations as the Redis store does, and keeps the same`, async () => {
  const start = performance.now();
  const { sequences, operations, difference } = await compareMany(server, SEQUENCES);
  if (difference !== undefined) throw told(difference);
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`twins: ${sequences} sequences, ${operations} operations against ${server.name} in ${seconds} s`);
  expect(sequences).toBe(SEQUENCES);
}, 300_000);

/** Scripts with a known mistake each; what one comes to be where it is not found in any script is an error. */
const MISTAKES: readonly (readonly [name: string, right: string, wrong: string])[] = [
  ["a claim that leaves records due", "if due <= now then at = now + ARGV[2] end", ""],
  ["a change with a token that has lapsed", "tonumber(scores[i]) == tonumber(token)", "true"],
  ["a settled record that keeps its body", "redis.call('UNLINK', KEYS[body])", ""],
  ["a burial that is not remembered as left", "redis.call('ZADD', KEYS[3], redis.call('TIME')[1] * 1000, ARGV[3])", ""],
  ["a hold of what is decided", "and not redis.call('ZSCORE', KEYS[2], ARGV[i + 2])", ""],
  ["a decision dropped while records need it", "if not needed[found[i]] then", "if true then"],
  ["a renewal of another's lease", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end", ""],
  ["a completion that overwrites another's", "redis.call('SET', KEYS[1], was, 'PX', keep)", ""],
  ["a completion whose child was rolled back", "< 0 then return -1 end", "< 0 then end"],
  ["a rollback of what a run still holds", "if redis.call('GET', KEYS[1]) == ARGV[1] then return false end", ""],
  ["a redrive that makes no successor", "redis.call('ZADD', KEYS[1], 'NX', 0, ARGV[4])", ""],
  ["a release that leaves records held", "redis.call('ZREM', KEYS[2], found[i])", ""],
];

describe("the twins differ where a script is wrong", () => {
  test.each(MISTAKES)(
    "%s is found",
    async (_, right, wrong) => {
      let edited = false;
      const edit: Edit = (script) => {
        edited ||= script.includes(right);
        return script.replaceAll(right, () => wrong);
      };
      const { difference } = await compareMany(server, 2_000, { edit, shrink: false });
      expect(edited).toBe(true);
      // What differs is an answer or what is kept: not that Redis refuses the script.
      expect(difference?.errorInstance).toMatchObject({
        name: expect.stringMatching(/^(Assertion|Undecodable)Error$/),
      });
    },
    120_000,
  );
});
