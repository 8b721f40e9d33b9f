import { Hono } from "hono";
import type { Context } from "hono";
import type { Message } from "../core/consume.ts";
import type { Core } from "../core/core.ts";
import type { Databases } from "../core/database-types.ts";
import { FatalError, OutcomeUnknownError } from "../errors.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import { internalsOf } from "../middleware/internals.ts";
import { DEFAULT_RETRIES } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import type { Saga, SagaState } from "./saga.ts";

/** What a step of a saga is given: a message, without a transaction of its own, as its messages are the saga's. */
export interface SagaMessage<Data, All extends Databases = Databases> extends Pick<
  Message<Data, All>,
  "attempt" | "batch" | "data" | "id" | "run" | "signal" | "source" | "time" | "traceparent" | "tracestate"
> {
  /** Names this saga among all. With the step's name the key of what is done and undone. */
  readonly saga: string;
  /** What the steps before it came to, by their names; where it is undone, what it came to itself as well. */
  readonly results: Readonly<Record<string, unknown>>;
}

/** What a step of a saga does. Each runs once at a time, and again where it failed or was cut off. */
export interface SagaStepHandlers<Data, All extends Databases = Databases> {
  /** The database of `message.run` and `message.batch`, where effects happen once. @default `inbox`, where that names one */
  readonly database?: keyof All & string;
  /**
   * Does it; what it returns, or what the work of `message.run` does, is for the steps after it. A `FatalError` says that
   * nothing was done and nothing will be: the saga fails. So it does where the retries are used up.
   */
  readonly do: (message: SagaMessage<Data, All>, c: Context) => unknown;
  /**
   * Undoes it, until it succeeds. Without a database it runs for a step whose retries were used up as well, so that it must
   * bear what did half of its work.
   */
  readonly undo: (message: SagaMessage<Data, All>, c: Context) => unknown;
}

type AnyMessage = Message<SagaState>;

/**
 * The routes of one step of a saga, `POST /do` and `POST /undo`, to be mounted where {@link Saga.routes} says.
 *
 * A step is done, and the message to the next one sent, in one act: one SQL transaction with a database, else one of the
 * store that is both log and inbox. A step that is to be undone is done for good by then, so that a late copy of its message
 * does nothing.
 *
 * @throws {ConfigurationError} where the service cannot consume.
 * @example
 * ```ts
 * app.route("/sagas/hotel", sagaStepRoutes(ac, trip, "hotel", {
 *   database: "main",
 *   do: (message) => message.run("main", async (sql) => { … }),
 *   undo: (message) => message.run("main", async (sql) => { … }),
 * }));
 * ```
 */
export function sagaStepRoutes<Input, Data, Name extends string, All extends Databases = Databases>(
  ac: Pick<Aftercommit<unknown, All>, "consumer">,
  contract: Saga<Input, Data, Name>,
  step: NoInfer<Name>,
  handlers: SagaStepHandlers<Data, All>,
): Hono {
  const { serviceOf } = internalsOf(ac);
  const database = handlers.database === undefined ? {} : { database: handlers.database };
  const at = contract.steps.indexOf(step);
  const next = contract.steps[at + 1];

  const forward = (state: SagaState) => (core: Core, message: AnyMessage, result: unknown) => {
    const results = { ...state.results, [step]: result ?? null };
    const done = [step, ...state.done];
    return publish(core, message, next === undefined ? contract.completed : contract.doing(next), {
      ...state,
      results,
      done,
    });
  };
  const backward = (core: Core, message: AnyMessage, { done, ...state }: SagaState) => {
    const [first, ...rest] = done as Name[];
    // The one that undoes keeps its own name in front, so that a redrive tells what is stuck.
    return first === undefined
      ? publish(core, message, contract.failed, { ...state, done })
      : publish(core, message, contract.undoing(first), { ...state, done: [first, ...rest] });
  };

  const does = async (message: AnyMessage, state: SagaState, c: Context): Promise<unknown> => {
    const service = serviceOf(c.env);
    const { core } = service;
    try {
      return await carriedOn(core, message, state, forward(state), (given) =>
        handlers.do(given as unknown as SagaMessage<Data, All>, c),
      );
    } catch (error) {
      const fatal = FatalError.is(error);
      const last = message.attempt > (contract.start.options.retries ?? DEFAULT_RETRIES);
      // It may have been done, and then the next step's message is on its way.
      if (OutcomeUnknownError.is(error) || !(fatal || last)) throw error;
      const half = !fatal && (handlers.database ?? service.inboxDatabase) === undefined;
      const reason = fatal ? error.message : `the step failed in ${message.attempt} attempts`;
      core.emit({ type: "consumeFailed", consumer: nameOf("do"), messageId: message.id, fatal: true, error });
      const done = half ? [step, ...state.done] : state.done;
      await backward(core, message, { ...state, done, failed: { step, reason } });
      return { failed: reason };
    }
  };
  const nameOf = (verb: string): string => `${contract.name}.${step}.${verb}`;

  const app = new Hono();
  app.post(
    "/do",
    at === 0
      ? ac.consumer(
          contract.start,
          (message, c) => {
            const state = { saga: message.id, data: message.data, results: {}, done: [] };
            return does(message as unknown as AnyMessage, state, c);
          },
          { name: nameOf("do"), ...database },
        )
      : ac.consumer(contract.doing(step), (message, c) => does(message as unknown as AnyMessage, message.data, c), {
          name: nameOf("do"),
          ...database,
        }),
  );
  app.post(
    "/undo",
    ac.consumer(
      contract.undoing(step),
      (message, c) => {
        const state = message.data;
        const rest = { ...state, done: state.done.slice(1) };
        const undone = (core: Core, own: AnyMessage) => backward(core, own, rest);
        return carriedOn(serviceOf(c.env).core, message as unknown as AnyMessage, state, undone, (given) =>
          handlers.undo(given as unknown as SagaMessage<Data, All>, c),
        );
      },
      { name: nameOf("undo"), ...database },
    ),
  );
  return app;
}

type Carry = (core: Core, message: AnyMessage, result: unknown) => Promise<void>;

/** Runs a handler, and sends the saga on in the same act as what it does: inside of its SQL where it has some. */
async function carriedOn(
  core: Core,
  message: AnyMessage,
  state: SagaState,
  carry: Carry,
  handle: (given: SagaMessage<unknown>) => unknown,
): Promise<unknown> {
  let ran = false;
  const { id, attempt, signal, source, time, traceparent, tracestate } = message;
  const result = await handle({
    id,
    attempt,
    signal,
    source,
    time,
    traceparent,
    tracestate,
    data: state.data,
    saga: state.saga,
    results: state.results,
    run: async (name, work, options) => {
      const value = await message.run(
        name,
        async (sql) => {
          const worked = await work(sql);
          await carry(core, message, worked);
          return worked;
        },
        options,
      );
      ran = true;
      return value;
    },
    batch: async (name, statements) => {
      // What the statements bring is known too late to travel along. Without a database the call is refused.
      if (message.tx.level === "barrier") await carry(core, message, undefined);
      const value = await message.batch(name, statements);
      ran = true;
      return value;
    },
  });
  if (!ran) await carry(core, message, result);
  return result;
}

/** Sends the saga on; what tells of its end is sent where it has a route. */
async function publish(core: Core, message: AnyMessage, to: Topic<SagaState>, state: SagaState): Promise<void> {
  const end = to.name.endsWith(".completed") || to.name.endsWith(".failed");
  if (end && (await core.routes(to.name)).length === 0) return;
  await message.tx.publish(to, state);
}
