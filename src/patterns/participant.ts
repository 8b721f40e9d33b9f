import type { BranchOptions, BranchTarget, Branching } from "../core/branching.ts";
import { halfMessages } from "../core/half-message.ts";
import type { StandardSchema } from "../model/standard-schema.ts";
import { topic } from "../model/topic.ts";
import type { Topic, TopicOptions } from "../model/topic.ts";
import { beginBranch, checkedCallOptions } from "./begin-branch.ts";
import { branchSchema } from "./branch-data.ts";
import type { BranchData } from "./branch-data.ts";

/** The contract of a participant: what its try takes, and what it gives. */
export interface ParticipantOptions<Input, Data, Result> extends BranchOptions {
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Data>;
  /** What its try gives back, as JSON of at most 4 KB; not looked at without one. */
  readonly result?: StandardSchema<unknown, Result>;
  /** How its confirms and cancels travel; they are retried `DEFAULT_BRANCH_RETRIES` times where it does not say. */
  readonly messages?: TopicOptions;
}

/** How often the transport tries again to confirm or cancel: as often as it can on QStash's smallest plan. */
export const DEFAULT_BRANCH_RETRIES = 5;

/** A participant of transactions: try, then confirm or cancel. Shared by those who call it and the one that it is. */
export interface Participant<Input = unknown, Data = Input, Result = unknown> extends BranchTarget<
  "try",
  Input,
  Result
> {
  /** Names it across services; `routes` leads from it to where it is mounted. */
  readonly name: string;
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Data>;
  /** The messages that confirm. */
  readonly confirms: Topic<BranchData<Input>, BranchData<Data>>;
  /** The messages that cancel. */
  readonly cancels: Topic<BranchData<Input>, BranchData<Data>>;
}

/**
 * Declares a participant: its name and the schema of its data, shared by the services that call it and the one that mounts
 * it with {@link participantRoutes}. `routes` of a caller leads from its name to the URL that it is mounted at.
 *
 * @throws {ConfigurationError} where the name or an option is not usable.
 * @example
 * ```ts
 * export const reserveStock = participant("stock.reserve", { schema: z.object({ sku: z.string(), count: z.int() }) });
 *
 * await tx.try(reserveStock, { sku, count: 1 });
 * await tx.run("main", async (sql) => { … });
 * ```
 */
export function participant<Input, Data = Input, Result = unknown>(
  name: string,
  options: ParticipantOptions<Input, Data, Result>,
): Participant<Input, Data, Result> {
  const { schema, result } = options;
  const messages = { retries: DEFAULT_BRANCH_RETRIES, ...options.messages };
  const facts = branchSchema(schema);
  const confirms = topic(`${name}.confirm`, facts, messages);
  const cancels = topic(`${name}.cancel`, facts, messages);
  const calls = checkedCallOptions(`participant "${name}"`, options);
  return {
    kind: "try",
    name,
    schema,
    confirms,
    cancels,
    begin(transaction, data, callOptions) {
      const branching = transaction as Branching;
      const places = [branching.next(), branching.next(), branching.next()] as const;
      return beginBranch(branching, {
        name,
        verb: "try",
        place: places[0],
        data,
        result,
        options: { ...calls, ...callOptions },
        async enlist({ core, facts: branch, base }) {
          const { open } = branching;
          const to = (path: string, which: Topic, place: number, on: "commit" | "rollback") =>
            halfMessages({ ...core, routes: () => base(path) }, open, place, which, branch, { on });
          const [confirm, standby, cancel] = await Promise.all([
            to("/confirm", confirms as Topic, places[0], "commit"),
            to("/cancel", cancels as Topic, places[1], "commit"),
            to("/cancel", cancels as Topic, places[2], "rollback"),
          ]);
          return branching.enlist({ confirm, standby, cancel });
        },
      });
    },
  };
}
