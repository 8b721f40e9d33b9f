import type { Context } from "hono";
import type { Message } from "../core/consume.ts";
import { FatalError, TransactionStateError } from "../errors.ts";
import type { Background } from "../middleware/background.ts";
import type { Service } from "../middleware/configuration.ts";
import { topic } from "../model/topic.ts";
import type { Topic } from "../model/topic.ts";
import type { StandardSchema } from "../model/standard-schema.ts";
import { answerCall } from "./answer-call.ts";
import { branchOf } from "./branch.ts";
import type { Branch } from "./branch.ts";
import { branchSchema } from "./branch-data.ts";
import type { BranchData } from "./branch-data.ts";
import { RefusedError } from "./errors.ts";
import { gateOf } from "./gate.ts";

/** Whose try, or step, it is. */
export interface Tried<Data> {
  readonly service: Service;
  readonly after: Background;
  /** The participant's name. */
  readonly name: string;
  readonly inboxName: string;
  readonly database: string | undefined;
  readonly topic: Topic<unknown, BranchData<Data>>;
  handle(branch: Branch<Data>): unknown;
}

/** What calls of a participant carry, as a topic. */
export function callTopic<Input, Data>(
  name: string,
  schema: StandardSchema<Input, Data>,
): Topic<unknown, BranchData<Data>> {
  return topic(name, branchSchema(schema));
}

/** Answers the call of a try: runs it through its gate, once, unless its branch was cancelled before. */
export function answerTry<Data>(c: Context, called: Tried<Data>): Promise<Response> {
  const { service, name, inboxName, database } = called;
  const gate = gateOf(service.core, inboxName, database);
  return answerCall(c, {
    ...called,
    participant: name,
    consumer: inboxName,
    async handle(message) {
      if (database === undefined && !(await gate.admitTry(message.data.branch))) throw cancelled(message.data.branch);
      try {
        return await tried(message, database, called.handle);
      } catch (error) {
        throw RefusedError.is(error) ? new FatalError(error.reason) : error;
      }
    },
  });
}

/** A try with a database that does not use it would not be known to have been. */
async function tried<Data>(
  message: Message<BranchData<Data>>,
  database: string | undefined,
  handle: (branch: Branch<Data>) => unknown,
): Promise<unknown> {
  const branch = branchOf(message);
  if (database === undefined) return handle(branch);
  let ran = false;
  const known = <T>(value: T): T => {
    ran = true;
    // Shut while the handler had not come here yet.
    if (isCancelled(value)) throw cancelled(branch.id);
    return value;
  };
  const result = await handle({
    ...branch,
    run: async (name, work, options) => known(await branch.run(name, work, options)),
    batch: async (name, statements) => known(await branch.batch(name, statements)),
  });
  if (ran) return result;
  throw new TransactionStateError("Expected branch.run or branch.batch in a try with a database, found neither.", {
    code: "ERR_NOT_COMMITTED",
    hint: "Reserve inside of it: its commit is what a cancel looks for.",
    transactionId: branch.transactionId,
  });
}

function isCancelled(value: unknown): boolean {
  return typeof value === "object" && value !== null && "aftercommit" in value && value.aftercommit === "cancelled";
}

function cancelled(branch: string): FatalError {
  return new FatalError(`expected a branch that may be tried, found "${branch}" cancelled`);
}
