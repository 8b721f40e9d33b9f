import { ConfigurationError, InvalidMessageError } from "../errors.ts";
import type { ConfigurationProblem } from "../errors.ts";
import { DURATION_FORM, parseDuration } from "./duration.ts";
import type { Duration } from "./duration.ts";
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
}

/** How often the transport tries again. */
export const DEFAULT_RETRIES = 3;

/** The contract of one kind of message, shared by those who publish and those who consume. */
export interface Topic<Input = unknown, Output = Input> {
  /** Names it across services. */
  readonly name: string;
  /** What its data must look like. */
  readonly schema: StandardSchema<Input, Output>;
  /** How its messages travel, unless one says otherwise. */
  readonly options: TopicOptions;
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
  options: TopicOptions = {},
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

function optionProblems(name: string, options: TopicOptions): ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const { retries } = options;
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
    ...headerProblems(options.headers ?? {}).map((problem) => ({ ...problem, path: `topic "${name}".headers` })),
  );
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
