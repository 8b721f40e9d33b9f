import { REDIS_LOSSES } from "./chaos-redis.ts";
import type { RedisLoss } from "./chaos-redis.ts";
import { PLACES, placeText, POINTS } from "./points.ts";
import type { Fault, Place, Role } from "./points.ts";

/** One planned kill, and when: so long after the one before. */
export type Strike = { readonly afterMillis: number } & (
  | {
      readonly target: "process";
      readonly role: Role;
      /** Which of those with the role. */
      readonly which: number;
      /** Where the next start of it kills itself. */
      readonly next: Fault | undefined;
    }
  | {
      readonly target: "redis";
      readonly loss: RedisLoss;
      /** For how long the replica had not heard from the killed one, where it is promoted. */
      readonly lagMillis: number;
      readonly downMillis: number;
    }
  /** All of it, or one backend, upon which it ends all others. */
  | { readonly target: "postgres"; readonly whole: boolean }
);

/** What kills are drawn. */
export interface Plan {
  next(): Strike;
  /** Tells it that a process has killed itself there. */
  met(place: string): void;
}

export interface PlanOptions {
  /** The mean wait for a kill. */
  readonly everyMillis: number;
  /** Redis is only killed, and comes back with all that it held. */
  readonly keepRedis: boolean;
}

/** How far a wait is from the mean of all, at the most, as a share of it. */
const SPREAD = 0.75;
const LONGEST_REDIS_DOWN_MILLIS = 1_500;
const LONGEST_LAG_MILLIS = 2_000;
const MOST_PASSES = 6;
/** The share of killed processes whose successor kills itself at a point. */
const ARMED = 0.7;
/** How often each side of each point comes in turn, until it is met; from then on all is chance. */
const ROUNDS = 4;

/** Random numbers of a seed, 0 to 1. Source: mulberry32, by Tommy Ettinger. */
export function drawFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Draws the kills of a run: of processes, at first so that their successors meet both sides of each point. */
export function createPlan(draw: () => number, { everyMillis, keepRedis }: PlanOptions): Plan {
  const turns = Array.from({ length: ROUNDS }, () => shuffle(PLACES, draw)).flat();
  const met = new Set<string>();
  const inTurn = (): Place | undefined => {
    for (;;) {
      const place = turns.shift();
      if (place === undefined || !met.has(placeText(place))) return place;
    }
  };
  return {
    met: (place) => void met.add(place),
    next() {
      const afterMillis = everyMillis * (1 + SPREAD * (2 * draw() - 1));
      const kind = draw();
      if (kind < 0.16) {
        const loss = keepRedis ? "killed" : pick(REDIS_LOSSES, draw);
        const lagMillis = draw() * LONGEST_LAG_MILLIS;
        return { afterMillis, target: "redis", loss, lagMillis, downMillis: draw() * LONGEST_REDIS_DOWN_MILLIS };
      }
      if (kind < 0.27) return { afterMillis, target: "postgres", whole: draw() < 0.5 };
      const place = inTurn();
      if (place !== undefined) {
        const { role, point, side } = place;
        return { afterMillis, target: "process", role, which: draw(), next: { point, side, nth: 1 } };
      }
      const role: Role = kind < 0.65 ? "producer" : kind < 0.85 ? "consumer" : "sweeper";
      const point = pick<Fault["point"]>(POINTS[role], draw);
      const side = draw() < 0.5 ? "before" : "after";
      const nth = 1 + Math.floor(draw() * MOST_PASSES);
      const armed = draw() < ARMED;
      return { afterMillis, target: "process", role, which: draw(), next: armed ? { point, side, nth } : undefined };
    },
  };
}

function pick<T>(values: readonly T[], draw: () => number): T {
  return values[Math.floor(draw() * values.length)]!;
}

/** Source: Fisher and Yates. */
function shuffle<T>(values: readonly T[], draw: () => number): T[] {
  const shuffled = [...values];
  for (let end = shuffled.length - 1; end > 0; end--) {
    const other = Math.floor(draw() * (end + 1));
    [shuffled[end], shuffled[other]] = [shuffled[other]!, shuffled[end]!];
  }
  return shuffled;
}
