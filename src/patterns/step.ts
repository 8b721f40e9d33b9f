import type { BranchOptions, BranchTarget, Branching } from "../core/branching.ts";
import { halfMessages } from "../core/half-message.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { StandardSchema } from "../model/standard-schema.ts";
import { topic } from "../model/topic.ts";
import { beginBranch, checkedCallOptions } from "./begin-branch.ts";
import { compensation } from "./compensation.ts";
import type { Compensation } from "./compensation.ts";

/** The contract of a step: what it takes, and what it gives. */
export interface StepOptions<Input, Data, Result> extends BranchOptions {
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Data>;
  /** What it gives back, as JSON of at most 4 KB; not looked at without one. */
  readonly result?: StandardSchema<unknown, Result>;
}

/** A step of sagas: done at once, and compensated where the saga fails. Shared by those who call it and the one that does it. */
export interface Step<Input = unknown, Data = Input, Result = unknown> extends BranchTarget<"step", Input, Result> {
  /** Names it across services; `routes` leads from it to where it is mounted. */
  readonly name: string;
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Data>;
}

/** The steps of one transaction so far. */
interface Chain {
  /** Latest first. */
  steps: readonly Compensation[];
  /** The message that compensates them; more than one where it is not known which of them is kept. */
  kept: readonly DeliveryRecord[];
  /** One step is registered after the other. */
  last: Promise<unknown>;
}

const chains = new WeakMap<Branching, Chain>();

/**
 * Declares a step: its name and the schema of its data, shared by the services that call it and the one that mounts it with
 * {@link stepRoutes}. `routes` of a caller leads from its name to the URL that it is mounted at, and from
 * `compensation.name` to its own {@link compensations}.
 *
 * @throws {ConfigurationError} where the name or an option is not usable.
 * @example
 * ```ts
 * export const bookHotel = step("hotel.book", { schema: z.object({ nights: z.int() }) });
 *
 * await tx.step(bookFlight, { seats: 1 });
 * await tx.step(bookHotel, { nights: 2 });
 * await tx.run("main", async (sql) => { … });
 * ```
 */
export function step<Input, Data = Input, Result = unknown>(
  name: string,
  options: StepOptions<Input, Data, Result>,
): Step<Input, Data, Result> {
  const { schema, result } = options;
  const calls = checkedCallOptions(`step "${name}"`, options);
  // For its name alone.
  topic(`${name}.do`, schema);
  return {
    kind: "step",
    name,
    schema,
    begin(transaction, data, callOptions) {
      const branching = transaction as Branching;
      const places = [branching.next(), branching.next()] as const;
      const { core, open } = branching;
      return beginBranch(branching, {
        name,
        verb: "step",
        place: places[0],
        data,
        result,
        options: { ...calls, ...callOptions },
        enlist({ facts }) {
          const own: Compensation = { ...facts, step: name };
          const message = (steps: readonly Compensation[], place: number, on: "commit" | "rollback") =>
            halfMessages(core, open, place, compensation, { steps }, { on });
          const chain = chains.get(branching) ?? { steps: [], kept: [], last: Promise.resolve() };
          chains.set(branching, chain);
          const turn = chain.last.then(async () => {
            const steps = [own, ...chain.steps];
            const [standby, cancel] = await Promise.all([
              message([own], places[0], "commit"),
              message(steps, places[1], "rollback"),
            ]);
            const replaced = chain.kept;
            // Whichever of the two is kept where this fails: the next one takes the place of both.
            chain.kept = [...replaced, ...cancel];
            const enlisted = await branching.enlist({ confirm: [], standby, cancel }, replaced);
            chain.kept = cancel;
            chain.steps = steps;
            return enlisted;
          });
          chain.last = turn.catch(() => undefined);
          return turn;
        },
      });
    },
  };
}
