import { UnavailableError } from "../../src/errors.ts";
import type { ConfigurationProblem } from "../../src/errors.ts";
import type { Transport } from "../../src/ports/transport.ts";
import { systemClock } from "../../src/system/clock.ts";
import { publishAlone, resultOfAnswer } from "./calls.ts";
import { isClient } from "./client.ts";
import type { QStashClientLike } from "./client.ts";
import { DEFAULT_LABEL, isLabel } from "./labels.ts";
import { destinationProblem, publicationOf, wakeUpOf } from "./publication.ts";
import { publishAll } from "./publish.ts";
import { qstashReceiver } from "./receiver.ts";
import type { QStashReceiverOptions } from "./receiver.ts";
import { qstashReports } from "./reports.ts";
import { mentionsKeys } from "./signing-keys.ts";

/** How {@link qstash} publishes, and how it verifies what it delivers. */
export interface QStashOptions extends QStashReceiverOptions {
  /** A `Client` of `@upstash/qstash`. */
  readonly client: QStashClientLike;
  /** The label of every message; by it the event log and the dead letters of QStash are searched. @default DEFAULT_LABEL */
  readonly label?: string | undefined;
}

/**
 * Carries messages by QStash: pushed over HTTP, signed, retried by QStash, and recognised when they are sent twice.
 *
 * A service that only publishes leaves the signing keys out. Where they are mentioned, be it as an environment variable
 * that is missing, the transport has a receiver, and unusable keys are a configuration problem.
 *
 * @example
 * ```ts
 * import { Client } from "@upstash/qstash";
 *
 * const transport = qstash({
 *   client: new Client({ token: env.QSTASH_TOKEN }),
 *   currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
 *   nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
 * });
 * ```
 */
export function qstash(options: QStashOptions): Transport {
  const { client, label = DEFAULT_LABEL, clock = systemClock } = options;
  const now = (): number => clock.now();
  return {
    async publish(dispatches) {
      const at = now();
      const publications = dispatches.map((dispatch) => publicationOf(dispatch, label, at));
      return publishAll(client, publications, now);
    },

    async wake(call) {
      const publication = wakeUpOf(call, label);
      const problem = destinationProblem(publication.destination);
      if (problem !== undefined) throw notTaken(`the destination: ${problem}`);
      const result = resultOfAnswer(await publishAlone(client, publication));
      if (result.status !== "accepted") throw notTaken(result.reason);
    },

    reports: qstashReports(client, label),
    ...(mentionsKeys(options) ? { receiver: qstashReceiver(options) } : {}),
    problems: () => [...clientProblems(client), ...labelProblems(label)],
  };
}

function notTaken(reason: string): UnavailableError {
  return new UnavailableError("ERR_TRANSPORT_UNAVAILABLE", `Expected QStash to take a wake-up call (${reason}).`, {
    hint: "Look at the configured publicUrl and at QStash's status.",
  });
}

function clientProblems(client: unknown): ConfigurationProblem[] {
  if (isClient(client)) return [];
  return [
    {
      path: "qstash.client",
      expected: "a Client of @upstash/qstash",
      found: client === undefined || client === null ? "nothing" : `another ${typeof client}`,
      remedy: "Pass new Client({ token }).",
    },
  ];
}

function labelProblems(label: string): ConfigurationProblem[] {
  if (isLabel(label)) return [];
  return [
    {
      path: "qstash.label",
      expected: "letters, digits, '_', '.' and '-', 1 to 128 long",
      found: JSON.stringify(label.slice(0, 200)),
      remedy: `Leave it out for "${DEFAULT_LABEL}".`,
    },
  ];
}
