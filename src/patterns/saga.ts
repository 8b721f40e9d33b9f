import { ConfigurationError } from "../errors.ts";
import type { SchemaResult, StandardSchema } from "../model/standard-schema.ts";
import { topic } from "../model/topic.ts";
import type { Topic, TopicOptions } from "../model/topic.ts";
import { DEFAULT_BRANCH_RETRIES } from "./participant.ts";

/** Where a saga stands, in the messages between its steps. */
export interface SagaState {
  /** Names this saga among all. */
  readonly saga: string;
  /** What it was started with. */
  readonly data: unknown;
  /** What its steps came to, by their names. */
  readonly results: Readonly<Record<string, unknown>>;
  /** The steps that were done, latest first: what is to be undone where one fails. */
  readonly done: readonly string[];
  /** The step that failed, and why, once one has. */
  readonly failed?: { readonly step: string; readonly reason: string };
}

/** A saga that messages carry from step to step. */
export interface Saga<Input = unknown, Data = Input, Name extends string = string> {
  /** Names it across services. */
  readonly name: string;
  /** Its steps, in their order. */
  readonly steps: readonly Name[];
  /** What it is started with. */
  readonly schema: StandardSchema<Input, Data>;
  /** Starts it: `tx.publish(trip.start, data)`. */
  readonly start: Topic<Input, Data>;
  /** Published when all steps are done, where it has a route. */
  readonly completed: Topic<SagaState>;
  /** Published when all that was done is undone, where it has a route. */
  readonly failed: Topic<SagaState>;
  /** The messages by which a step is done; the first one's is `start`. */
  doing(step: Name): Topic<SagaState>;
  /** The messages by which a step is undone. */
  undoing(step: Name): Topic<SagaState>;
  /** The routes of its messages: from where each of its steps is mounted. Every service that has a step needs them. */
  routes(bases: Readonly<Record<Name, string>>): Record<string, string>;
}

/** The contract of a saga. */
export interface SagaOptions<Input, Data, Name extends string> {
  /** What it is started with. */
  readonly schema: StandardSchema<Input, Data>;
  /** The names of its steps, in their order. */
  readonly steps: readonly [Name, ...Name[]];
  /** How its messages travel; they are retried `DEFAULT_BRANCH_RETRIES` times where it does not say. */
  readonly messages?: TopicOptions;
}

/**
 * Declares a saga whose steps are consumers, perhaps of several services: each is done when the one before it is, by a
 * message; where one fails for good, those before it are undone in reverse order, by messages too.
 *
 * @throws {ConfigurationError} where a name is not usable, or a step is named twice.
 * @example
 * ```ts
 * export const trip = saga("trip", { schema: z.object({ nights: z.int() }), steps: ["flight", "hotel"] });
 *
 * const ac = aftercommit({
 *   routes: { ...trip.routes({ flight: "/sagas/flight", hotel: "https://hotels.example.com/sagas/hotel" }) },
 * });
 * await tx.publish(trip.start, { nights: 2 });
 * ```
 */
export function saga<Input, const Name extends string, Data = Input>(
  name: string,
  options: SagaOptions<Input, Data, Name>,
): Saga<Input, Data, Name> {
  const { schema, steps } = options;
  const messages = { retries: DEFAULT_BRANCH_RETRIES, ...options.messages };
  if (new Set(steps).size !== steps.length || steps.length === 0) {
    const found = steps.length === 0 ? "none" : "one of them twice";
    throw new ConfigurationError([
      { path: `saga "${name}".steps`, expected: "steps of different names", found, remedy: "Name each step once." },
    ]);
  }
  const topics = (verb: string) =>
    new Map(steps.map((step) => [step, topic(`${name}.${step}.${verb}`, stateSchema, messages)]));
  const [doing, undoing] = [topics("do"), topics("undo")];
  const start = topic(`${name}.start`, schema, messages);
  return {
    name,
    steps,
    schema,
    start,
    completed: topic(`${name}.completed`, stateSchema, messages),
    failed: topic(`${name}.failed`, stateSchema, messages),
    doing: (step) => doing.get(step)!,
    undoing: (step) => undoing.get(step)!,
    routes(bases) {
      const entries = steps.flatMap((step, i) => [
        [i === 0 ? start.name : doing.get(step)!.name, `${bases[step]}/do`],
        [undoing.get(step)!.name, `${bases[step]}/undo`],
      ]);
      return Object.fromEntries(entries) as Record<string, string>;
    },
  };
}

const stateSchema: StandardSchema<SagaState> = {
  "~standard": {
    version: 1,
    vendor: "aftercommit",
    validate(value): SchemaResult<SagaState> {
      if (typeof value === "object" && value !== null && isState(value)) return { value };
      return { issues: [{ message: "expected the state of a saga" }] };
    },
  },
};

function isState(value: Partial<SagaState>): value is SagaState {
  return (
    typeof value.saga === "string" &&
    typeof value.results === "object" &&
    value.results !== null &&
    Array.isArray(value.done) &&
    value.done.every((step) => typeof step === "string")
  );
}
