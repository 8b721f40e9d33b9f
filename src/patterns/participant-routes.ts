import { Hono } from "hono";
import type { Context } from "hono";
import type { Databases } from "../core/database-types.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import type { Service } from "../middleware/configuration.ts";
import { internalsOf } from "../middleware/internals.ts";
import type { Topic } from "../model/topic.ts";
import { answerTry, callTopic } from "./answer-try.ts";
import { branchOf } from "./branch.ts";
import type { Branch } from "./branch.ts";
import type { BranchData } from "./branch-data.ts";
import { gateOf, requireRemembered } from "./gate.ts";
import type { Direction } from "./gate.ts";
import type { Participant } from "./participant.ts";

/** What a participant does. Each runs for a branch once at a time, and again where it failed or was cut off. */
export interface ParticipantHandlers<Data, Result, All extends Databases = Databases> {
  /**
   * The database that the branches are kept in, and where their effects happen once; `false` for effects that are made
   * otherwise, whatever the inbox is. @default `inbox`, where that names one
   */
  readonly database?: (keyof All & string) | false;
  /** Its name in the inbox, where it is not to be the participant's. */
  readonly inboxName?: string;
  /**
   * Reserves. With a database in `branch.run` or `branch.batch`, so that it is reserved and known to be in one commit. Throws
   * {@link RefusedError} to say no. Never runs for a branch that was cancelled before.
   */
  readonly try: (branch: Branch<Data, All>, c: Context) => Result | Promise<Result>;
  /** Makes the reservation final. Runs only after a try that succeeded, until it succeeds. */
  readonly confirm?: (branch: Branch<Data, All>, c: Context) => unknown;
  /**
   * Takes the reservation back. With a database it runs only after a try that committed; without one also after a try that
   * failed or died, so that it must bear what did half of its work. Until it succeeds.
   */
  readonly cancel: (branch: Branch<Data, All>, c: Context) => unknown;
}

/**
 * The routes of a participant, to be mounted where the `routes` of its callers lead: `POST /try`, called directly and signed
 * with the secret of `calls`; `POST /confirm` and `POST /cancel`, delivered by the transport.
 *
 * A duplicate is answered and not done again, a cancel without a try does nothing and shuts the branch, a try after that is
 * refused, and a confirm without a try goes to the dead letters.
 *
 * @throws {ConfigurationError} where the service cannot consume, or the name is taken.
 * @example
 * ```ts
 * app.route("/participants/stock", participantRoutes(ac, reserveStock, {
 *   database: "main",
 *   try: (branch) => branch.run("main", async (sql) => { … }),
 *   confirm: (branch) => branch.run("main", async (sql) => { … }),
 *   cancel: (branch) => branch.run("main", async (sql) => { … }),
 * }));
 * ```
 */
export function participantRoutes<Input, Data, Result, All extends Databases = Databases>(
  ac: Pick<Aftercommit<unknown, All>, "consumer">,
  contract: Participant<Input, Data, Result>,
  handlers: ParticipantHandlers<Data, Result, All>,
): Hono {
  const { serviceOf, after } = internalsOf(ac);
  const { inboxName = contract.name } = handlers;
  const { database: given } = handlers;
  const databaseOf = (service: Service): string | undefined =>
    given === false ? undefined : (given ?? service.inboxDatabase);
  const consumer = (which: Topic<BranchData<Input>, BranchData<Data>>, direction: Direction) =>
    ac.consumer(
      which,
      async (message, c) => {
        const service = serviceOf(c.env);
        const { branch } = message.data;
        requireRemembered(service.core, message.data);
        const gate = gateOf(service.core, inboxName, databaseOf(service));
        if (direction === "confirm") await gate.requireTried(branch);
        else if ((await gate.shut(branch)) === "empty") return "empty";
        await gate.turn(branch, direction);
        return handlers[direction]?.(branchOf(message), c);
      },
      {
        name: `${inboxName}.${direction}`,
        ...(given === undefined || given === false ? {} : { database: given }),
      },
    );

  const tries = callTopic(`${contract.name}.try`, contract.schema);
  const app = new Hono();
  app.post("/confirm", consumer(contract.confirms, "confirm"));
  app.post("/cancel", consumer(contract.cancels, "cancel"));
  app.post("/try", (c) => {
    const service = serviceOf(c.env);
    const database = databaseOf(service);
    const handle = (branch: Branch<Data>) => handlers.try(branch as unknown as Branch<Data, All>, c);
    return answerTry(c, { service, after, name: contract.name, inboxName, database, topic: tries, handle });
  });
  return app;
}
