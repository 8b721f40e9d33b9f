import type { Choices } from "./choices.ts";
import type { Process } from "./process.ts";
import type { Level, Setup } from "./setup.ts";

/** How a request is made: over which route, or as a job without one. */
export const ROUTES = ["run", "batch", "job", "checked", "marked"] as const;
export type Route = (typeof ROUTES)[number];

/** What a handler does in the end. */
export const ENDINGS = [
  "succeeds",
  "throws before its work",
  "throws inside of its work",
  "throws after its work",
  "answers 500 after its work",
  "swallows the failure of its work",
  "does its work again after a failure",
  "answers 200 without its work",
] as const;
export type Ending = (typeof ENDINGS)[number];

/** What one request does. */
export interface Plan {
  /** When it is made, after the beginning. */
  readonly atMillis: number;
  readonly route: Route;
  readonly from: number;
  readonly to: number;
  readonly amount: number;
  /** Whether it publishes what a plain consumer and the ledger get. */
  readonly notes: boolean;
  /** Whether it publishes what consumers send on. */
  readonly pays: boolean;
  /** Whether it registers a message for a rollback. */
  readonly compensates: boolean;
  readonly savepoint: "none" | "kept" | "rolled back";
  readonly ending: Ending;
  /** How often the database's wish for another try is granted. */
  readonly retries: number;
  /** How long its work dawdles. */
  readonly stallMillis: number;
  /** How often QStash tries again. */
  readonly messageRetries: number;
}

/** A message that a handler has published, as the oracle remembers it. */
export interface Sent {
  readonly id: string;
  readonly topic: string;
}

/** A request, and what became of it as far as its handler could tell. */
export interface Request {
  readonly number: number;
  readonly plan: Plan;
  readonly level: Level;
  transactionId: string | undefined;
  process: Process | undefined;
  /** What goes out if its work is committed. */
  commits: readonly Sent[];
  /** What goes out if it is rolled back. */
  readonly undoes: Sent[];
  /** Whether a publish was refused: what it would have sent may go out, or not. */
  doubtful: boolean;
  told: "nothing" | "committed" | "rolledBack" | "unknown";
  ended: "not" | "success" | "failure";
}

const STALLS = [0, 2_000, 50_000, 130_000, 250_000] as const;
const RETRIES = [3, 0, 1] as const;

/** Draws the requests of a run. */
export function drawnRequests(choices: Choices, setup: Setup, level: Level | undefined): Request[] {
  const routes = ROUTES.map((route, i) => {
    if (levelOf(route) !== "barrier" && !setup.withLog) return 0;
    return level === undefined || levelOf(route) === level ? [40, 12, 10, 20, 18][i]! : 0;
  });
  const requests: Request[] = [];
  for (let left = 1 + choices.weighted([48, 32, 14, 6]); left > 0; left--) {
    const plan = drawnPlan(choices, setup, allowed(choices.weighted(routes), routes));
    requests.push({
      number: requests.length,
      plan,
      level: levelOf(plan.route),
      transactionId: undefined,
      process: undefined,
      commits: [],
      undoes: [],
      doubtful: false,
      told: "nothing",
      ended: "not",
    });
  }
  return requests;
}

function drawnPlan(choices: Choices, setup: Setup, route: Route): Plan {
  return {
    route,
    atMillis: choices.below(Math.ceil(setup.troubleMillis * 0.7)),
    from: choices.below(3),
    to: choices.below(3),
    amount: 1 + choices.below(20),
    notes: choices.weighted([72, 28]) === 1,
    pays: choices.weighted([72, 28]) === 1,
    compensates: choices.weighted([60, 40]) === 1,
    savepoint: (["none", "kept", "rolled back"] as const)[choices.weighted([75, 10, 15])]!,
    ending: ENDINGS[choices.weighted([56, 6, 7, 6, 7, 6, 6, 6])]!,
    retries: choices.weighted([60, 40]) * 2,
    stallMillis: STALLS[choices.weighted([76, 8, 5, 7, 4])]!,
    messageRetries: RETRIES[choices.weighted([70, 15, 15])]!,
  };
}

function levelOf(route: Route): Level {
  return route === "checked" || route === "marked" ? route : "barrier";
}

/** A list may ask for a route that this run does not have. */
function allowed(chosen: number, weights: readonly number[]): Route {
  return ROUTES[weights[chosen]! > 0 ? chosen : weights.findIndex((weight) => weight > 0)]!;
}
