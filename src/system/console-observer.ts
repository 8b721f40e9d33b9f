import type { Event, Observer } from "../ports/observer.ts";

/** What a person should know of without having asked. */
const WARNINGS: ReadonlySet<Event["type"]> = new Set<Event["type"]>([
  "requestFailed",
  "undecided",
  "outcomeUnknown",
  "unprotected",
  "lost",
  "logUnavailable",
  "conflict",
  "dead",
  "held",
  "checkFailed",
  "undecodable",
  "leaseLost",
  "consumeFailed",
  "publishFailed",
  "logLost",
  "recordFailed",
  "background",
]);

/** Writes what needs a person's eye to the console, one line of JSON each; with `verbose`, everything. */
export function consoleObserver(options: { readonly verbose?: boolean } = {}): Observer {
  return {
    event(event) {
      const warning = WARNINGS.has(event.type);
      if (!warning && options.verbose !== true) return;
      const line = JSON.stringify({
        aftercommit: event.type,
        ...event,
        ...("error" in event ? { error: describe(event.error) } : {}),
      });
      if (warning) console.warn(line);
      else console.info(line);
    },
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : "an error that is not an Error";
}
