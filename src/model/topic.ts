import { ConfigurationError, InvalidMessageError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import { DURATION_FORM, parseDuration } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { isDataVersion, MAX_DATA_VERSION } from "./envelope.ts";
import { headerProblems } from "./headers.ts";
import { describeIssues } from "./standard-schema.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** How the messages of a topic travel, unless a publish says otherwise. */
export interface TopicOptions {
  /** How often the transport tries again after a failed attempt, 0 to 5 on QStash's smallest plan. @default DEFAULT_RETRIES */
  readonly retries?: number;
  /** The wait before a retry, in the transport's own expression language: for QStash milliseconds over `retried`, `"1000 * pow(2, retried)"`. */
  readonly retryDelay?: string;
  /** How long one attempt may take. */
  readonly timeout?: Duration;
  /** How long after its publication a message is delivered at the earliest. */
  readonly delay?: Duration;
  /** Headers that travel with each message; not signed, so hints only. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How many deliveries of the topic may run at a time, and start in a period, all its destinations together. */
  readonly flow?: FlowLimits;
  /**
   * Into how many queues the messages with an `orderKey` are divided by it: a queue hands its messages to a destination one
   * after the other, in the order in which they reached the transport. @default 1
   */
  readonly orderQueues?: number;
}

/** How fast messages are delivered. */
export interface FlowLimits {
  /** Deliveries at a time. */
  readonly parallelism?: number;
  /** Deliveries that start in a period. */
  readonly rate?: number;
  /** The period, up to a week. @default "1s" */
  readonly period?: Duration;
}

/** The longest period in which a rate is counted: a week. */
const MAX_PERIOD_MILLIS = 604_800_000;
/** As many queues as the larger plans of QStash have. */
const MAX_ORDER_QUEUES = 100;

/** How often the transport tries again. */
export const DEFAULT_RETRIES = 3;

/** What is declared of a topic besides its name and its schema. */
export interface TopicDeclaration extends TopicOptions {
  /** Which version of the data the schema describes, from 1; for the versions after it see `nextVersion`. @default 1 */
  readonly version?: number;
  /**
   * Whether its messages travel encrypted: with `true` they are refused where no encryption is configured, on both sides.
   * @default what `payloads` has for all topics
   */
  readonly encrypted?: boolean;
}

/** The contract of one kind of message, shared by those who publish and those who consume. */
export interface Topic<Input = unknown, Output = Input> {
  /** Names it across services. */
  readonly name: string;
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Output>;
  /** How its messages travel, unless one says otherwise. */
  readonly options: TopicDeclaration;
  /** The version before this one, and how its data become this one's. */
  readonly previous?: PreviousVersion;
}

/** An earlier version of a topic. */
export interface PreviousVersion {
  /** That version. */
  readonly topic: Topic;
  /** Turns what that version's schema made of the data into what the next one's takes. */
  readonly upcast: (data: unknown) => unknown;
}

/** Which version of its data a topic has. */
export function versionOf(topic: Topic): number {
  return topic.options.version ?? 1;
}

const RETRY_DELAY = /^[\w +\-*/(),.]{1,256}$/;

/** Tells whether a text may be an arithmetic expression, on one line. */
export function isRetryDelay(text: string): boolean {
  return RETRY_DELAY.test(text);
}

const TOPIC_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/**
 * Declares a topic: its name, the schema of its data, how its messages travel.
 *
 * @throws {ConfigurationError} where the name or an option is not usable.
 * @example
 * ```ts
 * import * as z from "zod/mini";
 * export const orderPaid = topic("order.paid", z.object({ orderId: z.string(), cents: z.int() }));
 * ```
 */
export function topic<Input, Output>(
  name: string,
  schema: StandardSchema<Input, Output>,
  options: TopicDeclaration = {},
): Topic<Input, Output> {
  const problems = [...nameProblems(name), ...optionProblems(name, options)];
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { name, schema, options };
}

function nameProblems(name: string): ConfigurationProblem[] {
  if (TOPIC_NAME.test(name)) return [];
  return [
    {
      path: "topic",
      expected: "a name of letters, digits, '_', '.' and '-', 1 to 128 long",
      found: JSON.stringify(name),
      remedy: 'Name it after what happened, such as "order.paid".',
    },
  ];
}

function optionProblems(name: string, options: TopicDeclaration): ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const { retries, version = 1 } = options;
  if (!isDataVersion(version)) {
    problems.push({
      path: `topic "${name}".version`,
      expected: `a whole number from 1 to ${MAX_DATA_VERSION}`,
      found: String(version),
      remedy: "Leave it out for 1.",
    });
  }
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0 && retries <= 100)) {
    problems.push({
      path: `topic "${name}".retries`,
      expected: "a whole number from 0 to 100",
      found: String(retries),
      remedy: `Leave it out for ${DEFAULT_RETRIES}.`,
    });
  }
  if (options.retryDelay !== undefined && !isRetryDelay(options.retryDelay)) {
    problems.push({
      path: `topic "${name}".retryDelay`,
      expected: "an arithmetic expression",
      found: "other characters",
      remedy: 'Write one such as "1000 * pow(2, retried)".',
    });
  }
  for (const field of ["timeout", "delay"] as const) {
    const value = options[field];
    if (value !== undefined && parseDuration(value) === undefined) {
      problems.push({
        path: `topic "${name}".${field}`,
        expected: DURATION_FORM,
        found: JSON.stringify(value),
        remedy: "Write the number and its unit together.",
      });
    }
  }
  problems.push(
    ...flowProblems(options).map((problem) => ({ ...problem, path: `topic "${name}".${problem.path}` })),
    ...headerProblems(options.headers ?? {}).map((problem) => ({ ...problem, path: `topic "${name}".headers` })),
  );
  return problems;
}

/** What is wrong with the limits and the queues of a topic or a message. */
export function flowProblems({ flow, orderQueues = 1 }: TopicOptions): readonly ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1;
  if (!isCount(orderQueues) || orderQueues > MAX_ORDER_QUEUES) {
    problems.push({
      path: "orderQueues",
      expected: `a whole number from 1 to ${MAX_ORDER_QUEUES}`,
      found: String(orderQueues),
      remedy: "Leave it out for one queue.",
    });
  }
  if (flow === undefined) return problems;
  const { parallelism, rate, period = "1s" } = flow;
  const limits = [parallelism, rate].filter((limit) => limit !== undefined);
  if (limits.length === 0 || !limits.every(isCount)) {
    problems.push({
      path: "flow",
      expected: "a parallelism, a rate or both, whole numbers from 1",
      found: JSON.stringify(flow),
      remedy: 'Write one such as { parallelism: 5 } or { rate: 100, period: "1m" }.',
    });
  }
  const millis = parseDuration(period) ?? 0;
  if (millis < 1_000 || millis > MAX_PERIOD_MILLIS) {
    problems.push({
      path: "flow.period",
      expected: `${DURATION_FORM}, from a second to a week`,
      found: JSON.stringify(period),
      remedy: 'Leave it out for "1s".',
    });
  }
  return problems;
}

/**
 * The data as the topic's schema sees it.
 *
 * @throws {InvalidMessageError} where the schema refuses it; the message names the fields, never their values.
 */
export async function validated<Input, Output>(topic: Topic<Input, Output>, data: unknown): Promise<Output> {
  const result = await topic.schema["~standard"].validate(data);
  if (result.issues === undefined) return result.value;
  throw new InvalidMessageError(
    `Expected data of the topic "${topic.name}", found what its schema refuses (${describeIssues(result.issues)}).`,
    { hint: "Publish what the schema describes, or change the schema on both sides." },
  );
}
