import type { Choices } from "./choices.ts";

/** How a call of something outside of the process can end. */
export const FATES = ["ok", "fails", "replyLost", "diesBefore", "diesAfter", "refused"] as const;
export type Fate = (typeof FATES)[number];

/** What processes call. */
export type Port = "redis" | "sql" | "qstash" | "delivery";

/** What goes wrong in a run, and how often; each run draws its own rates. */
export interface Faults {
  /** How a call ends. */
  fate(port: Port): Fate;
  /** How long a call takes: there, until it acts, and back. */
  latency(): readonly [there: number, back: number];
  /** One of several cases, each as likely as the others; the first one while nothing goes wrong. */
  below(bound: number): number;
  /** True in so many of a hundred cases; never while nothing goes wrong. */
  percent(percent: number): boolean;
  /** From here on nothing goes wrong any more, and nothing is drawn. */
  end(): void;
  /** Whether {@link end} was called. */
  readonly ended: boolean;
}

/** How many calls of a thousand meet a fault, by the strength that a run draws. */
const RATES = [0, 4, 15, 50, 120] as const;
/** How likely each strength is. */
const STRENGTHS = [30, 20, 25, 20, 5] as const;

/** The usual latencies, and those that come in runs with slow ports: some are longer than any time limit. */
const LATENCIES: readonly (readonly [number, number])[] = [
  [1, 0],
  [0, 1],
  [2, 3],
  [0, 15],
  [15, 0],
  [0, 200],
  [200, 0],
  [1_200, 0],
  [0, 3_500],
  [3_500, 0],
  [0, 11_000],
  [11_000, 0],
  [45_000, 0],
  [0, 70_000],
];
const USUAL = [500, 200, 100, 40, 40];

/** Draws the faults of a run. */
export function drawnFaults(choices: Choices): Faults {
  let ended = false;
  const rate = (): number => RATES[choices.weighted(STRENGTHS)]!;
  const deaths = Math.min(rate(), 15);
  const weightsOf = (most: number): readonly number[] => {
    const broken = Math.min(rate(), most);
    return [1_000, broken, broken, deaths, deaths, broken];
  };
  const weights: Readonly<Record<Port, readonly number[]>> = {
    redis: weightsOf(120),
    sql: weightsOf(50),
    qstash: weightsOf(120),
    delivery: [1_000, rate() * 2, rate() * 2],
  };
  const slow = rate() / 10;
  const latencies = LATENCIES.map((_, i) => USUAL[i] ?? slow);

  return {
    fate: (port) => (ended ? "ok" : FATES[choices.weighted(weights[port])]!),
    latency: () => LATENCIES[ended ? 0 : choices.weighted(latencies)]!,
    below: (bound) => (ended ? 0 : choices.below(bound)),
    percent: (percent) => !ended && choices.weighted([100 - percent, percent]) === 1,
    end() {
      ended = true;
    },
    get ended() {
      return ended;
    },
  };
}
