import type { ServeSettings, ServiceLike } from "./options.ts";
import type { Sweeper } from "./sweeper.ts";

/** A server that listens, whichever runtime it is of. */
export interface Listener {
  readonly port: number;
  /** Takes no more requests; resolves when those in flight have ended. */
  stop(): Promise<void>;
  /** How many requests are in flight. */
  inFlight(): number;
  /** Breaks off what is in flight, where the runtime can. */
  cut(): void;
}

/** What had not ended when the time was up. Nothing of it is lost: what it left undone, a sweep does. */
export interface ShutdownReport {
  /** Whether everything ended in time. */
  readonly clean: boolean;
  /** Requests that were cut off. */
  readonly requests: number;
  /** Whether a sweep was running. */
  readonly sweep: boolean;
  /** Whether work after responses was going on. */
  readonly background: boolean;
  /** Whether `release` had not resolved. */
  readonly release: boolean;
}

/** What takes part in the end. */
export interface Parts {
  readonly ac: ServiceLike;
  readonly listener: Listener;
  readonly sweeper: Sweeper | undefined;
  readonly settings: ServeSettings;
}

/**
 * Ends a server in good order: takes no more requests, lets those in flight, a sweep and the work after responses end,
 * then releases what the app holds. Never rejects, and resolves within the time, whatever has ended by then.
 */
export async function shutDown({ ac, listener, sweeper, settings }: Parts): Promise<ShutdownReport> {
  const { drainMillis, tell } = settings;
  const deadline = startDeadline(drainMillis);
  const step = async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      tell(error);
    }
  };

  const requests = step(() => listener.stop());
  const swept = step(() => sweeper?.stop());
  // Only when no request runs is it certain that no more work begins.
  const drained = requests.then(() => step(() => ac.drain()));
  await deadline.reached(Promise.all([swept, drained]));

  const left = {
    requests: (await hasEnded(requests)) ? 0 : Math.max(1, listener.inFlight()),
    sweep: sweeper?.sweeping() === true,
    background: !(await hasEnded(step(() => ac.drain()))),
  };
  if (left.requests > 0) listener.cut();
  const released = step(settings.release);
  await deadline.reached(released);
  deadline.end();

  const report = { ...left, release: !(await hasEnded(released)) };
  const names = namesOf(report);
  if (names.length > 0) tell(new Error(`Expected the end within ${drainMillis} ms, found ${names.join(", ")} left.`));
  return { clean: names.length === 0, ...report };
}

interface Deadline {
  /** Resolves when `work` does, or at the deadline. */
  reached(work: Promise<unknown>): Promise<unknown>;
  end(): void;
}

/** Unlike other timers of ours this one keeps the process alive: an end that is cut short says so. */
function startDeadline(millis: number): Deadline {
  let end = (): void => undefined;
  const late = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, millis);
    end = () => clearTimeout(timer);
  });
  return { reached: (work) => Promise.race([work, late]), end: () => end() };
}

/** Whether a promise has resolved by now, or does so at once. */
function hasEnded(promise: Promise<unknown>): Promise<boolean> {
  const soon = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 0));
  return Promise.race([promise.then(() => true), soon]);
}

function namesOf({ requests, sweep, background, release }: Omit<ShutdownReport, "clean">): readonly string[] {
  return [
    ...(requests === 0 ? [] : [requests === 1 ? "1 request" : `${requests} requests`]),
    ...(sweep ? ["a sweep"] : []),
    ...(background ? ["work after responses"] : []),
    ...(release ? ["the release"] : []),
  ];
}
