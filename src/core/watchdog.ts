import { fingerprint } from "../model/ids.ts";
import { askDatabase, askLog, askTransport } from "./ask.ts";
import type { Core } from "./core.ts";
import { withDatabase } from "./databases.ts";
import { sweep } from "./sweep.ts";
import type { SweepReport } from "./sweep.ts";

/** A watchdog: one delayed call of the sweep route for all that is prepared in a stretch of time. */
export interface Watchdog {
  /**
   * Makes sure that a sweep comes after what is prepared now has passed its deadline. One message per firing bucket is
   * shared by all isolates, as its number is its deduplication id; an isolate that armed a bucket does not ask again.
   *
   * @throws {UnavailableError} where the transport did not take it.
   */
  arm(): Promise<void>;
  /** Answers the call: sweeps, and has published its successor while anything is unsettled. */
  fire(): Promise<SweepReport>;
}

/** Makes the watchdog of a core; the width of its buckets is `settings.watchdogMillis`. */
export function watchdog(core: Core): Watchdog {
  let armedBucket = -1;

  const arm = async (): Promise<void> => {
    const { watchdogMillis: width, sweepUrl, deadlineMillis, source } = core.settings;
    const transport = core.transport;
    if (width === undefined || sweepUrl === undefined || transport?.wake === undefined) return;
    const bucket = Math.floor((core.clock.now() + deadlineMillis) / width) + 1;
    if (bucket === armedBucket) return;
    const call = {
      url: sweepUrl,
      id: await wakeId(source, bucket),
      notBeforeSeconds: Math.ceil((bucket * width) / 1_000),
    };
    await askTransport(core, "the transport to take the watchdog's call", () => transport.wake!(call));
    armedBucket = bucket;
  };

  const wakeId = async (source: string, bucket: number): Promise<string> => {
    return `aftercommit-watchdog-${await fingerprint(core.crypto, source)}-${bucket}`;
  };

  return {
    arm,
    async fire() {
      const report = await sweep(core);
      if (await isUnsettled(core)) await arm();
      return report;
    },
  };
}

/** Whether anything is left to be done, due or not. A log that does not answer may hold something. */
async function isUnsettled(core: Core): Promise<boolean> {
  const { store } = core;
  for (const name of core.databases.keys()) {
    const { unsettled } = await withDatabase(core, name, ({ reader }) =>
      askDatabase(core, "the database to count", () => reader.counts(core.settings.source)),
    );
    if (unsettled > 0) return true;
  }
  if (store === undefined) return false;
  return (await askLog(core, "the log to count", () => store.reader.counts())).unsettled > 0;
}
