import type { StandardSchema } from "./standard-schema.ts";
import { topic, versionOf } from "./topic.ts";
import type { Topic, TopicDeclaration } from "./topic.ts";

/**
 * Declares the next version of a topic. Whoever publishes with it sends that version; whoever consumes with it takes the
 * earlier ones too: their data are checked against their own schema, turned into the next version's by `upcast`, and so on.
 *
 * Each version is made of the one before it, so that none can be missing. `upcast` gets what the earlier schema made of
 * the data, and returns what this one takes; a message for which it throws is dead.
 *
 * @throws {ConfigurationError} where an option is not usable.
 * @example
 * ```ts
 * const orderPaidV1 = topic("order.paid", z.object({ orderId: z.string(), euros: z.number() }));
 * export const orderPaid = nextVersion(
 *   orderPaidV1,
 *   z.object({ orderId: z.string(), cents: z.int() }),
 *   ({ orderId, euros }) => ({ orderId, cents: Math.round(euros * 100) }),
 * );
 * ```
 */
export function nextVersion<OldInput, Old, Input, Output>(
  previous: Topic<OldInput, Old>,
  schema: StandardSchema<Input, Output>,
  upcast: (data: Old) => NoInfer<Input> | Promise<NoInfer<Input>>,
  options: Omit<TopicDeclaration, "version"> = previous.options,
): Topic<Input, Output> {
  const version = versionOf(previous) + 1;
  return {
    ...topic(previous.name, schema, { ...options, version }),
    previous: { topic: previous, upcast: upcast as (data: unknown) => unknown },
  };
}
