import type { Handler } from "hono";
import { FatalError, RetryableError } from "../errors.ts";
import type { Aftercommit } from "../middleware/aftercommit.ts";
import { internalsOf } from "../middleware/internals.ts";
import { urlOf } from "./begin-branch.ts";
import type { BranchCall } from "./begin-branch.ts";
import { callDirectly } from "./call-directly.ts";
import { compensation } from "./compensation.ts";
import { joinUrl } from "../model/destination.ts";

/**
 * The consumer by which a service compensates its sagas, one step after the other: it calls the latest step's compensation,
 * and is done, and the message for the step before it is sent, in one act, once that has answered. What does not answer is
 * called again by the transport's retries; what uses them up is a dead letter that names the step, and a redrive goes on
 * with it and all before it.
 *
 * @throws {ConfigurationError} where the service cannot consume.
 * @example
 * ```ts
 * app.post("/compensations", compensations(ac));
 * ```
 */
export function compensations(ac: Pick<Aftercommit, "consumer">): Handler {
  const { serviceOf } = internalsOf(ac);
  return ac.consumer(
    compensation,
    async (message, c) => {
      const { core } = serviceOf(c.env);
      const [first, ...rest] = message.data.steps;
      const { step, ...facts } = first!;
      const to = joinUrl(await urlOf(core, step), "/compensate");
      const call: BranchCall<unknown> = { v: 1, participant: step, to, source: core.settings.source, ...facts };
      const answer = await callDirectly(core, {
        url: to,
        id: facts.branch,
        body: JSON.stringify(call),
        headers: {},
        timeoutMillis: core.settings.transportTimeoutMillis,
        retries: 0,
        ended: message.signal,
      });
      if (answer.status === "refused") throw new FatalError(`"${step}" was not compensated: ${answer.reason}`);
      if (answer.status === "unknown") {
        const { found, afterMillis: retryAfter } = answer;
        const options = retryAfter === undefined ? {} : { retryAfter };
        throw new RetryableError(`expected an answer to the compensation of "${step}", found ${found}`, options);
      }
      if (rest.length > 0) await message.tx.publish(compensation, { steps: rest });
      return { compensated: step, branch: facts.branch };
    },
    { name: "aftercommit.compensations" },
  );
}
