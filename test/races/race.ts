import { check } from "fast-check";
import type { IAsyncProperty, Scheduler } from "fast-check";
import { expect } from "vitest";
import type { AftercommitOptions } from "aftercommit";
import { configure } from "../../src/middleware/configuration.ts";
import type { Service } from "../../src/middleware/configuration.ts";
import { world } from "../support/world.ts";
import type { World } from "../support/world.ts";

/** How many orders of events each race is run in. */
const RUNS = 1_000;
const SEED = 20_270_117;

/**
 * A port each of whose calls reaches it, and each of whose answers comes back, when the scheduler says so: what happens in
 * between is what others do meanwhile. `lost` says of which calls nothing is heard any more once they are done.
 */
export function scheduled<Port extends object>(
  s: Scheduler,
  port: Port,
  who: string,
  lost: (name: string) => boolean = () => false,
): Port {
  const wrap = (part: object, prefix: string): object =>
    Object.fromEntries(
      Object.entries(part).map(([property, found]: [string, unknown]) => {
        const name = `${prefix}${property}`;
        if (typeof found === "object" && found !== null) return [property, wrap(found, `${name}.`)];
        if (typeof found !== "function" || name === "shardOf") return [property, found];
        const method = found as (...args: unknown[]) => Promise<unknown>;
        const call = async (...args: unknown[]): Promise<unknown> => {
          await s.schedule(Promise.resolve(), `${who} calls ${name}`);
          try {
            const value = await method(...args);
            if (lost(name)) throw new Error(`the reply of ${name} was lost`);
            return value;
          } finally {
            await s.schedule(Promise.resolve(), `${who} hears of ${name}`);
          }
        };
        return [property, call];
      }),
    );
  return wrap(port, "") as Port;
}

/** A turn of the scheduler: others may go first. */
export function turn(s: Scheduler, who: string): Promise<void> {
  return s.schedule(Promise.resolve(), who);
}

/** Lets all take part in a race to its end, in the order of the scheduler; what one throws comes through. */
export async function race(s: Scheduler, ...parts: readonly Promise<unknown>[]): Promise<void> {
  const ended = Promise.allSettled(parts);
  await s.waitFor(ended);
  for (const result of await ended) if (result.status === "rejected") throw result.reason;
}

/** What must hold in a race, in the words of its invariant. */
export function holds(condition: boolean, invariant: string): void {
  if (!condition) throw new Error(`broken: ${invariant}`);
}

/** Runs a race in many orders; one in which an invariant is broken is told, with the shortest that shows it. */
export async function alwaysHolds<Values>(race: IAsyncProperty<Values>, numRuns: number = RUNS): Promise<void> {
  const details = await check(race, { numRuns, seed: SEED });
  if (!details.failed) return expect(details.numRuns).toBe(numRuns);
  const error = details.errorInstance instanceof Error ? details.errorInstance : new Error("a race failed");
  error.message += `\nin this order, seed ${details.seed}, path ${details.counterexamplePath}:\n${String(details.counterexample)}`;
  throw error;
}

/** Runs a race of which a part is wrong on purpose: there is an order in which that shows. */
export async function isCaught<Values>(race: IAsyncProperty<Values>, invariant: RegExp): Promise<void> {
  const details = await check(race, { numRuns: RUNS, seed: SEED, endOnFailure: true });
  expect(details.failed, "an order in which the mistake shows").toBe(true);
  expect(String(details.errorInstance)).toMatch(invariant);
}

/** A service of a world, for its core and what people do with it. */
export function serviceOf(base: World, overrides: Partial<AftercommitOptions>): Service {
  const { checks = {}, databases = {} } = overrides;
  const needs = {
    consumers: false,
    producers: true,
    log: overrides.databases === undefined,
    checks: new Set(Object.keys(checks)),
    databases: new Set(Object.keys(databases)),
  };
  return configure(base.options(overrides), needs, {});
}

/** A world whose events and clock a race may use. */
export function raceWorld(): World {
  return world();
}
