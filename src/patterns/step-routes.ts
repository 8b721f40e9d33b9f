import { Hono } from "hono";
import type { Context } from "hono";
import type { Databases } from "../core/database-types.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import type { Service } from "../middleware/configuration.ts";
import { internalsOf } from "../middleware/internals.ts";
import { answerCall } from "./answer-call.ts";
import { answerTry, callTopic } from "./answer-try.ts";
import { branchOf } from "./branch.ts";
import type { Branch } from "./branch.ts";
import { gateOf, requireRemembered } from "./gate.ts";
import type { Step } from "./step.ts";

/** What a step does. Each runs for a branch once at a time, and again where it failed or was cut off. */
export interface StepHandlers<Data, Result, All extends Databases = Databases> {
  /** The database that the branches are kept in, and where their effects happen once. @default `inbox`, where that names one */
  readonly database?: keyof All & string;
  /** Its name in the inbox, where it is not to be the step's. */
  readonly inboxName?: string;
  /**
   * Does the step. With a database in `branch.run` or `branch.batch`. Throws {@link RefusedError} to say no. Never runs for a
   * branch that was compensated before.
   */
  readonly do: (branch: Branch<Data, All>, c: Context) => Result | Promise<Result>;
  /**
   * Undoes what was done. With a database it runs only after a step that committed; without one also after a step that failed
   * or died, so that it must bear what did half of its work. Until it succeeds.
   */
  readonly compensate: (branch: Branch<Data, All>, c: Context) => unknown;
}

/**
 * The routes of a step, to be mounted where the `routes` of its callers lead: `POST /do` and `POST /compensate`, called
 * directly and signed with the secret of `calls`.
 *
 * A duplicate is answered and not done again; a compensation without a step does nothing and shuts the branch, so that a
 * late step cannot follow its own compensation.
 *
 * @throws {ConfigurationError} where the service has no inbox.
 * @example
 * ```ts
 * app.route("/steps/hotel", stepRoutes(ac, bookHotel, {
 *   database: "main",
 *   do: (branch) => branch.run("main", async (sql) => { … }),
 *   compensate: (branch) => branch.run("main", async (sql) => { … }),
 * }));
 * ```
 */
export function stepRoutes<Input, Data, Result, All extends Databases = Databases>(
  ac: Pick<Aftercommit<unknown, All>, "consumer">,
  contract: Step<Input, Data, Result>,
  handlers: StepHandlers<Data, Result, All>,
): Hono {
  const { serviceOf, after, need } = internalsOf(ac);
  const { name, schema } = contract;
  const { inboxName = name, database: given } = handlers;
  need(given);
  const databaseOf = (service: Service): string | undefined => given ?? service.inboxDatabase;
  const [does, undoes] = [callTopic(`${name}.do`, schema), callTopic(`${name}.compensate`, schema)];
  const app = new Hono();
  app.post("/do", (c) => {
    const service = serviceOf(c.env);
    const handle = (branch: Branch<Data>) => handlers.do(branch as unknown as Branch<Data, All>, c);
    return answerTry(c, { service, after, name, inboxName, database: databaseOf(service), topic: does, handle });
  });
  app.post("/compensate", (c) => {
    const service = serviceOf(c.env);
    const database = databaseOf(service);
    return answerCall(c, {
      service,
      after,
      participant: name,
      consumer: `${inboxName}.compensate`,
      database,
      topic: undoes,
      async handle(message) {
        requireRemembered(service.core, message.data);
        const gate = gateOf(service.core, inboxName, database);
        if ((await gate.shut(message.data.branch)) === "empty") return "empty";
        return handlers.compensate(branchOf(message) as unknown as Branch<Data, All>, c);
      },
    });
  });
  return app;
}
