import type { ConfigurationProblem } from "../errors.ts";
import type { Settings } from "../core/settings.ts";
import { joinUrl } from "../model/destination.ts";
import { DURATION_FORM, formatDuration, parseDuration } from "../model/duration.ts";
import type { Duration } from "../model/duration.ts";
import type { Receiver } from "../ports/receiver.ts";
import { DEFAULT_BODY_LIMIT_BYTES, DEFAULT_MAX_MESSAGE_BYTES } from "./options.ts";
import type { AftercommitOptions } from "./options.ts";

const DAY = 86_400_000;
/** What an envelope's attribute may have. */
const MAX_SOURCE_LENGTH = 2_048;

/** Resolves the numbers of a configuration and checks the arithmetic between them; what is wrong goes to `problems`. */
export function checkedSettings(
  options: AftercommitOptions,
  where: {
    readonly publicUrl: URL | undefined;
    readonly operationsPath: string;
    readonly receiver: Receiver | undefined;
  },
  problems: ConfigurationProblem[],
): Settings {
  const recovery = options.recovery ?? {};
  const consumers = options.consumers ?? {};
  const millis = (path: string, value: Duration | undefined, fallback: number): number => {
    if (value === undefined) return fallback;
    const parsed = parseDuration(value);
    if (parsed !== undefined && parsed > 0) return parsed;
    problems.push({
      path,
      expected: DURATION_FORM,
      found: JSON.stringify(value),
      remedy: "Write number and unit together.",
    });
    return fallback;
  };
  const whole = (path: string, value: number | undefined, fallback: number, least: number, most: number): number => {
    if (value === undefined) return fallback;
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    problems.push({
      path,
      expected: `a whole number from ${least} to ${most}`,
      found: String(value),
      remedy: `Leave it out for ${fallback}.`,
    });
    return fallback;
  };
  const atLeast = (path: string, value: number, least: number, why: string): void => {
    if (value >= least) return;
    problems.push({
      path,
      expected: `at least ${formatDuration(least)} (${why})`,
      found: formatDuration(value),
      remedy: "Lengthen it, or shorten what it must cover.",
    });
  };

  const retryHorizonMillis = millis("recovery.retryHorizon", recovery.retryHorizon, 2 * DAY);
  const redriveWithinMillis = millis("recovery.redriveWithin", recovery.redriveWithin, 30 * DAY);
  const covered = retryHorizonMillis + redriveWithinMillis;
  const longestRequest = millis("recovery.longestRequest", recovery.longestRequest, 60_000);
  const deadlineMillis = millis("recovery.deadline", recovery.deadline, 120_000);
  const transportTimeoutMillis = millis("transportTimeout", options.transportTimeout, 10_000);
  const inboxLeaseMillis = millis("consumers.lease", consumers.lease, 30_000);
  const inboxRenewMillis = millis("consumers.renewEvery", consumers.renewEvery, 10_000);
  const inboxRetentionMillis = millis("consumers.retention", consumers.retention, covered + DAY);
  const decisionRetentionMillis = millis("recovery.decisionRetention", recovery.decisionRetention, covered + DAY);
  const watchdogMillis =
    recovery.watchdog === undefined ? undefined : millis("recovery.watchdog", recovery.watchdog, 120_000);

  atLeast(
    "consumers.retention",
    inboxRetentionMillis,
    covered,
    "recovery.retryHorizon + recovery.redriveWithin: a redrive must find what was done",
  );
  atLeast(
    "recovery.decisionRetention",
    decisionRetentionMillis,
    covered,
    "recovery.retryHorizon + recovery.redriveWithin: a late copy must find its decision",
  );
  atLeast(
    "consumers.lease",
    inboxLeaseMillis,
    3 * inboxRenewMillis,
    "3 × consumers.renewEvery: a lease must survive two renewals that fail",
  );
  atLeast(
    "recovery.deadline",
    deadlineMillis,
    longestRequest + 1,
    "longer than recovery.longestRequest: a running request must not be looked into",
  );

  const source = options.source ?? where.publicUrl?.href ?? "aftercommit";
  if (source === "" || source.length > MAX_SOURCE_LENGTH) {
    problems.push({
      path: "source",
      expected: `1 to ${MAX_SOURCE_LENGTH} characters`,
      found: `${source.length}`,
      remedy: "Leave it out for publicUrl.",
    });
  }
  const base = where.publicUrl === undefined ? undefined : joinUrl(where.publicUrl.href, where.operationsPath);
  const signed = where.receiver !== undefined && base !== undefined;
  if (watchdogMillis !== undefined && !signed) {
    problems.push({
      path: "recovery.watchdog",
      expected: "publicUrl and a receiver, by which its call is verified",
      found: "one of them missing",
      remedy: "Set publicUrl and pass both signing keys to qstash(…).",
    });
  }
  if (watchdogMillis !== undefined && options.transport?.wake === undefined) {
    problems.push({
      path: "recovery.watchdog",
      expected: "a transport that can delay a call",
      found: "none",
      remedy: "Pass qstash(…), or leave the watchdog out and call the sweep by a cron.",
    });
  }
  return {
    source,
    failureUrl: signed ? joinUrl(base, "/failed") : undefined,
    sweepUrl: signed ? joinUrl(base, "/watchdog") : undefined,
    deadlineMillis,
    storeTimeoutMillis: millis("storeTimeout", options.storeTimeout, 3_000),
    transportTimeoutMillis,
    databaseTimeoutMillis: millis("databaseTimeout", options.databaseTimeout, 10_000),
    // Long enough for the request to have sent its messages, and no longer.
    resumeAfterMillis: Math.min(deadlineMillis, 3 * transportTimeoutMillis),
    claimLeaseMillis: millis("recovery.sweepLease", recovery.sweepLease, 60_000),
    claimLimit: 100,
    confirmAfterMillis: millis("recovery.confirmAfter", recovery.confirmAfter, 300_000),
    retryHorizonMillis,
    checkAttempts: whole("recovery.checkAttempts", recovery.checkAttempts, 12, 1, 255),
    checkSpacingMillis: millis("recovery.checkSpacing", recovery.checkSpacing, 30_000),
    decisionRetentionMillis,
    redriveWithinMillis,
    auditEveryMillis: millis("recovery.auditEvery", recovery.auditEvery, 600_000),
    maxMessageBytes: whole("maxMessageBytes", options.maxMessageBytes, DEFAULT_MAX_MESSAGE_BYTES, 1_024, 50_000_000),
    watchdogMillis,
    inboxLeaseMillis,
    inboxRenewMillis,
    inboxRetentionMillis,
    bodyLimitBytes: whole("consumers.bodyLimit", consumers.bodyLimit, DEFAULT_BODY_LIMIT_BYTES, 1_024, 100_000_000),
  };
}
