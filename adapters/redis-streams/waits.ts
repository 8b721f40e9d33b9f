import type { Held } from "./holding.ts";
import type { PullSettings } from "./settings.ts";
import type { Taking } from "./taking.ts";

/** How a worker waits for messages. */
export interface Waits {
  /** Takes up to so many; waits where nothing was there, and then resolves to nothing. */
  take(most: number, signal: AbortSignal): Promise<readonly Held[]>;
  /** Waits after trouble, longer each time. */
  out(signal: AbortSignal): Promise<void>;
}

/** The first wait after a look that found nothing; each further one is twice as long. */
const FIRST_WAIT_MILLIS = 250;
/** How long a read waits for what is new: how long a worker may take to end. */
const BLOCK_MILLIS = 5_000;

/** By reads that block, where there is a connection for them, or by looks that become rarer while nothing is there. */
export function waits(taking: Taking, { clock, pollMillis }: PullSettings, blocks: boolean): Waits {
  let wait = FIRST_WAIT_MILLIS;
  const sleep = async (most: number, signal: AbortSignal): Promise<void> => {
    const millis = Math.min(wait, pollMillis, most);
    wait = Math.min(wait * 2, Math.max(pollMillis, FIRST_WAIT_MILLIS));
    await clock.sleep(millis, signal);
  };
  return {
    async take(most, signal) {
      const startedAt = clock.now();
      const blockMillis = Math.max(1, Math.min(BLOCK_MILLIS, taking.untilDue()));
      const some = await (blocks ? taking.take(most, blockMillis) : taking.take(most));
      if (some.length > 0) wait = FIRST_WAIT_MILLIS;
      // Where a read that should block does not, looking on at once would be a busy loop.
      const waited = blocks && clock.now() - startedAt >= blockMillis / 2;
      if (some.length === 0 && !waited) await sleep(Math.max(1, taking.untilDue()), signal);
      return some;
    },
    out: (signal) => sleep(Number.POSITIVE_INFINITY, signal),
  };
}
