import { AT_RANDOM } from "./members.ts";
import type { Kill } from "./members.ts";
import type { ChaosOptions } from "./options.ts";
import { deliveryTimes, percentile, recoveryTimes, traceLosses } from "./oracle.ts";
import type { Books, Recovery, Verdicts } from "./oracle.ts";
import { PLACES, placeText } from "./points.ts";
import type { Waiting } from "./settle.ts";

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
  readonly keepRedis: boolean;
  /** From the first kill that could be to the last. */
  readonly strikeSeconds: number;
  readonly seconds: number;
  /** How long transfers took from their commit to the last of their effects, kills or not. */
  readonly deliveryP50Millis: number;
  readonly deliveryP99Millis: number;
  /** How many kills had cut something off, and were measured. */
  readonly recoveries: number;
  /** The same by what was killed, in milliseconds. */
  readonly recoveryOf: Readonly<Record<string, { readonly p50: number; readonly p99: number }>>;
  /** All money is there. */
  readonly balanced: boolean;
  /** Nothing was left to do at the end. */
  readonly settled: boolean;
  /** Processes that ended by themselves: an error that nobody caught. */
  readonly crashes: number;
  /** The kills by what they hit. */
  readonly killsOf: Readonly<Record<string, number>>;
  /** How many processes killed themselves at each side of each point. */
  readonly points: Readonly<Record<string, number>>;
  /** The lost messages by the kind of loss of Redis that they fell with. */
  readonly lostBy: Readonly<Record<string, number>>;
  /** The first of each that contradict, by name. */
  readonly offenders: readonly string[];
}

/** What a run was, and what was found after it. */
export interface Run {
  readonly options: ChaosOptions;
  readonly strikeMillis: number;
  readonly millis: number;
  readonly kills: readonly Kill[];
  readonly crashes: readonly string[];
  readonly books: Books;
  readonly verdicts: Verdicts;
  readonly waiting: Waiting;
  readonly settled: boolean;
}

const MOST_OFFENDERS = 20;

/** Counts and measures. */
export function resultOf({ options, kills, crashes, books, verdicts, waiting, settled, ...took }: Run): Result {
  const recoveries = recoveryTimes(kills, books);
  const times = recoveries.map(({ millis }) => millis);
  const deliveries = deliveryTimes(books);
  const { lost, phantom, doubled, balanced } = verdicts;
  return {
    kills: kills.length,
    transactions: books.transfers.length,
    lost: lost.length,
    phantom: phantom.length,
    doubled: doubled.length,
    inDoubt: waiting.doubtful.size,
    dead: waiting.dead,
    recoveryP50Millis: percentile(times, 0.5),
    recoveryP99Millis: percentile(times, 0.99),
    level: options.level,
    seed: options.seed,
    everyMillis: options.everyMillis,
    keepRedis: options.keepRedis,
    strikeSeconds: Math.round(took.strikeMillis / 1_000),
    seconds: Math.round(took.millis / 1_000),
    deliveryP50Millis: percentile(deliveries, 0.5),
    deliveryP99Millis: percentile(deliveries, 0.99),
    recoveries: times.length,
    recoveryOf: recoveryOf(recoveries),
    balanced,
    settled,
    crashes: crashes.length,
    killsOf: countKills(kills),
    points: countPoints(kills),
    lostBy: traceLosses(lost, kills),
    offenders: [
      ...crashes.map((one) => `crash: ${one}`),
      ...lost.slice(0, MOST_OFFENDERS).map(({ name }) => `lost: ${name}`),
      ...phantom.slice(0, MOST_OFFENDERS).map((one) => `phantom: ${one}`),
      ...doubled.slice(0, MOST_OFFENDERS).map((one) => `doubled: ${one}`),
    ],
  };
}

/** Every side of every point, and how many processes killed themselves there; also those where none did. */
export function countPoints(kills: readonly Kill[]): Result["points"] {
  return Object.fromEntries(
    PLACES.map((place) => [placeText(place), kills.filter(({ how }) => how === placeText(place)).length]),
  );
}

function recoveryOf(recoveries: readonly Recovery[]): Result["recoveryOf"] {
  const targets = [...new Set(recoveries.map(({ target }) => target))].toSorted();
  return Object.fromEntries(
    targets.map((target) => {
      const times = recoveries.filter((one) => one.target === target).map(({ millis }) => millis);
      return [target, { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }];
    }),
  );
}

function countKills(kills: readonly Kill[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { target, how, boot } of kills) {
    const name = boot === undefined || how === AT_RANDOM ? `${target}: ${how}` : `${target}: at a point`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b)));
}
