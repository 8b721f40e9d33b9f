import type { ConfigurationProblem } from "../../src/errors.ts";
import { DURATION_FORM, parseDuration } from "../../src/model/duration.ts";
import type { Duration } from "../../src/model/duration.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Crypto } from "../../src/ports/crypto.ts";
import type { DeliveryHints, Receiver } from "../../src/ports/receiver.ts";
import { systemClock } from "../../src/system/clock.ts";
import { webCrypto } from "../../src/system/crypto.ts";
import { letterOfCallback } from "./dead-letter.ts";
import { DELIVERY_HEADER } from "./publication.ts";
import { keyProblems, signingKeysOf } from "./signing-keys.ts";
import type { SigningKeyOptions } from "./signing-keys.ts";
import { verifySignature } from "./verifier.ts";

/** How {@link qstashReceiver} verifies. */
export interface QStashReceiverOptions extends SigningKeyOptions {
  /** How far the clocks of QStash and of this service may be apart, up to 60 s. @default DEFAULT_CLOCK_TOLERANCE */
  readonly clockTolerance?: Duration | undefined;
  /** Computes the signatures. @default WebCrypto */
  readonly crypto?: Crypto | undefined;
  /** Tells whether a token is in force. @default the system's clock */
  readonly clock?: Clock | undefined;
}

/** How far clocks may be apart. */
export const DEFAULT_CLOCK_TOLERANCE = "10s";
const MAX_CLOCK_TOLERANCE_MILLIS = 60_000;

/**
 * Verifies what QStash delivers, for a service that consumes and does not publish; one that publishes gets it with
 * `qstash(…)`.
 *
 * @example
 * ```ts
 * const receiver = qstashReceiver({
 *   currentSigningKey: env.QSTASH_CURRENT_SIGNING_KEY,
 *   nextSigningKey: env.QSTASH_NEXT_SIGNING_KEY,
 * });
 * ```
 */
export function qstashReceiver(options: QStashReceiverOptions): Receiver {
  const { clockTolerance = DEFAULT_CLOCK_TOLERANCE, crypto = webCrypto, clock = systemClock } = options;
  const toleranceMillis = Math.min(parseDuration(clockTolerance) ?? 0, MAX_CLOCK_TOLERANCE_MILLIS);
  const verifier = { keys: signingKeysOf(options), toleranceSeconds: toleranceMillis / 1_000, crypto, clock };
  return {
    verify: (request) => verifySignature(request, verifier),
    hints: readHints,
    parseFailure: letterOfCallback,
    problems: ({ dev }) => [...keyProblems(options, dev), ...toleranceProblems(clockTolerance)],
  };
}

function readHints(headers: Headers): DeliveryHints {
  const retried = headers.get("upstash-retried") ?? "";
  const attempt = /^\d{1,4}$/.test(retried) ? Number(retried) + 1 : 1;
  const meta = headers.get(DELIVERY_HEADER);
  return meta === null ? { attempt } : { attempt, meta };
}

function toleranceProblems(clockTolerance: Duration): ConfigurationProblem[] {
  const millis = parseDuration(clockTolerance);
  if (millis !== undefined && millis <= MAX_CLOCK_TOLERANCE_MILLIS) return [];
  return [
    {
      path: "qstash.clockTolerance",
      expected: millis === undefined ? DURATION_FORM : "at most 60 s",
      found: JSON.stringify(clockTolerance),
      remedy: `Leave it out for ${DEFAULT_CLOCK_TOLERANCE}; set this machine's clock by NTP.`,
    },
  ];
}
