import { ConfigurationError } from "../../src/errors.ts";
import type { ConfigurationProblem } from "../../src/errors.ts";
import { DURATION_FORM, parseDuration } from "../../src/model/duration.ts";
import type { Duration } from "../../src/model/duration.ts";
import type { Observer } from "../../src/ports/observer.ts";
import { consoleObserver } from "../../src/system/console-observer.ts";

/** What is used of a configured service: what `aftercommit(…)` makes, by shape. */
export interface ServiceLike {
  /** What sweeps. */
  operator(): { sweep(options?: { readonly maxMillis?: number }): Promise<unknown> };
  /** Resolves when the work that goes on after responses has ended. */
  drain(): Promise<void>;
}

/** What is used of an app: a Hono, by shape. */
export interface FetchApp {
  /** Answers a request. */
  fetch(request: Request, env?: never): Response | Promise<Response>;
}

/** How an app is served, swept for, and ended. */
export interface ServeOptions {
  /** The service whose work the app does. */
  readonly ac: ServiceLike;
  /** The port to listen on; 0 for any free one. @default DEFAULT_PORT */
  readonly port?: number | undefined;
  /** The address to listen on. @default the runtime's own: all of them */
  readonly hostname?: string | undefined;
  /**
   * How far apart the sweeps of this process are, give or take a quarter; `false` where something else sweeps. A service
   * that has neither a log nor a database has nothing to be swept.
   *
   * @default DEFAULT_SWEEP_EVERY
   */
  readonly sweepEvery?: Duration | false | undefined;
  /** How long the end may take, all in all. @default DEFAULT_DRAIN_WITHIN */
  readonly drainWithin?: Duration | undefined;
  /** The signals that end the process in good order; none for `[]`. @default DEFAULT_SIGNALS */
  readonly signals?: readonly string[] | undefined;
  /** Gives back what the app holds (pools, clients), once nothing needs it any more. */
  readonly release?: (() => unknown) | undefined;
  /** Told of sweeps that failed, and of what was left at the end. @default consoleObserver() */
  readonly observer?: Observer | undefined;
  /** Whatever else the runtime's own server takes, passed on as it is. */
  readonly serverOptions?: object | undefined;
}

/** The port, where none is given. */
export const DEFAULT_PORT = 3000;
/** How far apart sweeps are. */
export const DEFAULT_SWEEP_EVERY: Duration = "30s";
/** How long the end may take: what orchestrators allow is longer, as a rule. */
export const DEFAULT_DRAIN_WITHIN: Duration = "10s";
/** What orchestrators and terminals send. */
export const DEFAULT_SIGNALS: readonly string[] = ["SIGTERM", "SIGINT"];

/** The options of one runtime, resolved. */
export interface ServeSettings {
  readonly port: number;
  /** `undefined` where this process does not sweep. */
  readonly sweepMillis: number | undefined;
  readonly drainMillis: number;
  readonly signals: readonly string[];
  readonly release: () => unknown;
  /** Tells the observer; never throws. */
  readonly tell: (error: unknown) => void;
}

/** What a runtime does differently where an option is left out. */
export interface ServeDefaults {
  readonly sweepEvery?: Duration | false;
  readonly drainWithin?: Duration;
}

/**
 * Resolves the options, and configures the service where that has not happened yet.
 *
 * @throws {ConfigurationError} with every problem at once.
 */
export function settingsOf(options: ServeOptions, defaults: ServeDefaults = {}): ServeSettings {
  const problems: ConfigurationProblem[] = [];
  const millis = (path: string, value: Duration): number => {
    const parsed = parseDuration(value);
    if (parsed !== undefined && parsed > 0) return parsed;
    problems.push({
      path: `serve.${path}`,
      expected: DURATION_FORM,
      found: JSON.stringify(value),
      remedy: "Write number and unit together.",
    });
    return 0;
  };
  const sweepEvery = options.sweepEvery ?? defaults.sweepEvery ?? DEFAULT_SWEEP_EVERY;
  const sweepMillis = sweepEvery === false ? undefined : millis("sweepEvery", sweepEvery);
  const drainMillis = millis("drainWithin", options.drainWithin ?? defaults.drainWithin ?? DEFAULT_DRAIN_WITHIN);
  const port = options.port ?? DEFAULT_PORT;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    problems.push({
      path: "serve.port",
      expected: "a whole number from 0 to 65535",
      found: String(port),
      remedy: "Is the environment variable set?",
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);

  const observer = options.observer ?? consoleObserver();
  return {
    port,
    sweepMillis: sweepMillis !== undefined && canSweep(options) ? sweepMillis : undefined,
    drainMillis,
    signals: options.signals ?? DEFAULT_SIGNALS,
    release: options.release ?? (() => undefined),
    tell(error) {
      try {
        observer.event({ type: "background", error });
      } catch {
        // Whatever an observer throws is ignored, here as elsewhere.
      }
    },
  };
}

/** Whether there is anything to be swept, unless the caller says so: a configuration that cannot work ends the start. */
function canSweep({ ac, sweepEvery }: ServeOptions): boolean {
  try {
    ac.operator();
    return true;
  } catch (error) {
    const onlyConsumes = ConfigurationError.is(error) && error.problems.every(({ path }) => path === "log");
    if (onlyConsumes && sweepEvery === undefined) return false;
    throw error;
  }
}
