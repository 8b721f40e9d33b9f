import type { BranchOptions, Branching, EnlistedBranch } from "../core/branching.ts";
import type { Core, Route } from "../core/core.ts";
import { levelError } from "../core/transaction-errors.ts";
import { ConfigurationError, InvalidMessageError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import { hashDestination } from "../model/delivery.ts";
import { addressOf, joinUrl } from "../model/destination.ts";
import { DURATION_FORM, parseDuration } from "../model/duration.ts";
import { describeIssues } from "../model/standard-schema.ts";
import type { StandardSchema } from "../model/standard-schema.ts";
import type { BranchData } from "./branch-data.ts";
import { callDirectly, callsOf } from "./call-directly.ts";
import { ParticipantUnavailableError, RefusedError } from "./errors.ts";

/** How often a call is made again where it got no answer. */
export const DEFAULT_CALL_RETRIES = 2;
const MAX_CALL_RETRIES = 10;

/** What is called. */
export interface NewBranch<Input, Result> {
  /** The participant's name. */
  readonly name: string;
  readonly verb: "try" | "step";
  /** The place of its first message, which names it. */
  readonly place: number;
  readonly data: Input;
  readonly result: StandardSchema<unknown, Result> | undefined;
  readonly options: BranchOptions;
  /** Registers what ends it; no call is made before. */
  enlist(parts: BranchParts<Input>): Promise<EnlistedBranch>;
}

/** What the messages of a branch are made of. */
export interface BranchParts<Input> {
  readonly core: Core;
  readonly facts: BranchData<Input>;
  /** The destination of a route of the participant, in the form of a topic's destinations. */
  base(path: string): Promise<readonly Route[]>;
}

/** The body of a call. */
export interface BranchCall<Data> extends BranchData<Data> {
  readonly v: 1;
  /** The participant's name. */
  readonly participant: string;
  /** The URL that it is for. */
  readonly to: string;
  /** The deployment that calls. */
  readonly source: string;
  /** W3C trace context, where the caller has one. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** Registers what ends a branch, calls it, and takes in what came of it. */
export async function beginBranch<Input, Result>(
  branching: Branching,
  branch: NewBranch<Input, Result>,
): Promise<Result> {
  const { core, open } = branching;
  const { name, verb, result } = branch;
  if (open.parent !== undefined) {
    throw levelError(open.id, `Expected tx.${verb} in a request's transaction, found it in a consumer's.`, {
      hint: "A consumer's rerun would begin the branch again: use ac.withTransaction in it, or messages.",
    });
  }
  const calls = {
    timeoutMillis: core.settings.transportTimeoutMillis,
    ...checkedCallOptions(`tx.${verb}`, branch.options),
  };
  callsOf(core);
  const url = await urlOf(core, name);
  const id = `${open.id}_${branch.place}`;
  const facts: BranchData<Input> = { transaction: open.id, branch: id, at: core.clock.now(), data: branch.data };
  const enlisted = await branch.enlist({
    core,
    facts,
    async base(path) {
      const to = joinUrl(url, path);
      return [{ url: to, hash: await hashDestination(core.crypto, to) }];
    },
  });
  const to = joinUrl(url, `/${verb === "try" ? "try" : "do"}`);
  const trace = {
    ...(open.traceparent === undefined ? {} : { traceparent: open.traceparent }),
    ...(open.tracestate === undefined ? {} : { tracestate: open.tracestate }),
  };
  const call: BranchCall<Input> = { v: 1, participant: name, to, source: core.settings.source, ...trace, ...facts };
  const details = { participant: name, branchId: id, transactionId: open.id };
  try {
    const answer = await callDirectly(core, {
      url: to,
      id,
      body: JSON.stringify(call),
      headers: trace,
      timeoutMillis: timeoutOf(calls),
      retries: calls.retries ?? DEFAULT_CALL_RETRIES,
      ended: branching.ended,
    });
    if (answer.status === "refused") throw new RefusedError(answer.reason, details);
    if (answer.status === "unknown") {
      throw new ParticipantUnavailableError(`Expected an answer of "${name}", found ${answer.found}.`, {
        ...details,
        ...(answer.hint === undefined ? {} : { hint: answer.hint }),
        ...(answer.cause === undefined ? {} : { cause: answer.cause }),
      });
    }
    const value = await resultOf(name, result, answer.result);
    enlisted.succeeded();
    return value;
  } catch (error) {
    await enlisted.failed();
    throw error;
  }
}

function timeoutOf({ timeout, timeoutMillis }: BranchOptions & { readonly timeoutMillis: number }): number {
  return timeout === undefined ? timeoutMillis : parseDuration(timeout)!;
}

async function resultOf<Result>(
  name: string,
  schema: StandardSchema<unknown, Result> | undefined,
  value: unknown,
): Promise<Result> {
  if (schema === undefined) return value as Result;
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new InvalidMessageError(
    `Expected a result of "${name}" as its schema describes it, found another (${describeIssues(result.issues)}).`,
    { hint: "Change the schema on both sides, or what its try returns; the branch is cancelled." },
  );
}

/** Where a participant is. */
export async function urlOf(core: Core, name: string): Promise<string> {
  const routes = await core.routes(name);
  const [route] = routes;
  if (
    route !== undefined &&
    routes.length === 1 &&
    addressOf(route.url) === undefined &&
    new URL(route.url).search === ""
  )
    return route.url;
  throw new InvalidMessageError(
    `Expected one URL without a query in the route of the participant "${name}", found ${routes.length === 1 ? "another destination" : routes.length}.`,
    {
      code: "ERR_UNKNOWN_TOPIC",
      hint: `Name where it is mounted: routes: { "${name}": "https://…/participants/…" }.`,
    },
  );
}

/**
 * The options of a call alone, once they are found to be usable.
 *
 * @throws {ConfigurationError} where one is not.
 */
export function checkedCallOptions(path: string, { timeout, retries }: BranchOptions): BranchOptions {
  const problems: ConfigurationProblem[] = [];
  if (timeout !== undefined && !(parseDuration(timeout)! > 0)) {
    problems.push({
      path: `${path}.timeout`,
      expected: DURATION_FORM,
      found: JSON.stringify(timeout),
      remedy: "Write number and unit together.",
    });
  }
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0 && retries <= MAX_CALL_RETRIES)) {
    problems.push({
      path: `${path}.retries`,
      expected: `a whole number from 0 to ${MAX_CALL_RETRIES}`,
      found: String(retries),
      remedy: `Leave it out for ${DEFAULT_CALL_RETRIES}.`,
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { ...(timeout === undefined ? {} : { timeout }), ...(retries === undefined ? {} : { retries }) };
}
