import type { ServeOptions, ServeSettings } from "./options.ts";
import { shutDown } from "./shutdown.ts";
import type { Listener, ShutdownReport } from "./shutdown.ts";
import { startSweeper } from "./sweeper.ts";

/** A running server. */
export interface Server {
  /** The port that it listens on. */
  readonly port: number;
  /**
   * Ends it in good order, within `drainWithin`: no more requests are taken, those in flight, a sweep and the publishing
   * after responses end, then `release` is called. Idempotent; never rejects. The process goes on.
   */
  close(): Promise<ShutdownReport>;
}

/** The process that a server runs in. */
export interface Host {
  /** Calls `heard` whenever the signal comes, until the returned function is called. */
  onSignal(signal: string, heard: () => void): () => void;
  /** Ends the process. */
  exit(code: number): void;
}

/** What shells show of a process that a signal ended: 128 and the signal's number. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };
/** A longer sweep would only make its end later. */
const MAX_SWEEP_MILLIS = 20_000;

/** Sweeps for a server that listens, and ends it when a signal comes. */
export function attend(listener: Listener, { ac }: ServeOptions, settings: ServeSettings, host: Host): Server {
  const { sweepMillis, drainMillis, signals, tell } = settings;
  const maxMillis = Math.min(drainMillis, MAX_SWEEP_MILLIS);
  const sweeper =
    sweepMillis === undefined ? undefined : startSweeper(ac, { everyMillis: sweepMillis, maxMillis, onError: tell });

  let closing: Promise<ShutdownReport> | undefined;
  const close = (): Promise<ShutdownReport> => {
    closing ??= shutDown({ ac, listener, sweeper, settings }).finally(() => {
      for (const ignore of heard) ignore();
    });
    return closing;
  };

  let ending = false;
  const end = (signal: string): void => {
    // Whoever asks twice does not want to wait.
    if (ending) return host.exit(128 + (SIGNAL_NUMBERS[signal] ?? 0));
    ending = true;
    void close().then(({ clean }) => host.exit(clean ? 0 : 1));
  };
  const heard = signals.map((signal) => host.onSignal(signal, () => end(signal)));
  return { port: listener.port, close };
}
