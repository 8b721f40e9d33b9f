import { REDIS_LOSSES } from "./chaos-redis.ts";
import type { RedisLoss } from "./chaos-redis.ts";
import { POINTS } from "./points.ts";
import type { Fault, Role } from "./points.ts";

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
  | { readonly target: "redis"; readonly loss: RedisLoss; readonly downMillis: number }
  | { readonly target: "postgres" }
);

/** How far a wait is from the mean of all, at the most, as a share of it. */
const SPREAD = 0.75;
const LONGEST_REDIS_DOWN_MILLIS = 1_500;
const MOST_PASSES = 6;
/** The share of killed processes whose successor kills itself at a point. */
const ARMED = 0.7;

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

/** Draws the next planned kill; `everyMillis` is the mean wait for one. */
export function drawStrike(draw: () => number, everyMillis: number): Strike {
  const afterMillis = everyMillis * (1 + SPREAD * (2 * draw() - 1));
  const kind = draw();
  if (kind < 0.15) {
    return {
      afterMillis,
      target: "redis",
      loss: REDIS_LOSSES[Math.floor(draw() * REDIS_LOSSES.length)]!,
      downMillis: draw() * LONGEST_REDIS_DOWN_MILLIS,
    };
  }
  if (kind < 0.27) return { afterMillis, target: "postgres" };
  const role: Role = kind < 0.65 ? "producer" : kind < 0.85 ? "consumer" : "sweeper";
  const points = POINTS[role];
  const point = points[Math.floor(draw() * points.length)]!;
  const side = draw() < 0.5 ? "before" : "after";
  const nth = 1 + Math.floor(draw() * MOST_PASSES);
  const armed = draw() < ARMED;
  return { afterMillis, target: "process", role, which: draw(), next: armed ? { point, side, nth } : undefined };
}
