import type { Held, Holding } from "./holding.ts";
import type { PullSettings } from "./settings.ts";
import { isNoGroup } from "./stream.ts";
import type { HandedOut, SubscriberStream } from "./stream.ts";

/** How a worker comes by messages. */
export interface Taking {
  /** Takes up to so many in hand; waits for them up to `blockMillis`, where that is given. */
  take(most: number, blockMillis?: number): Promise<readonly Held[]>;
  /** The milliseconds until something else than what is new may be there. */
  untilDue(): number;
  /** Something was put back that is due in so many milliseconds. */
  dueIn(millis: number): void;
}

/** How often a worker looks for what others left behind, or put back. */
const TEND_MILLIS = 30_000;
/** By how much this process' clock may be behind that of Redis without a message being late for it. */
const CLOCK_SLACK_MILLIS = 30_000;
/** When a worker that holds nothing and has not been seen is forgotten. */
const UNSEEN_MILLIS = 86_400_000;

/** Fetches what is new and, now and then, what has become due and what workers left behind that are gone. */
export function taking(stream: SubscriberStream, holding: Holding, settings: PullSettings): Taking {
  const { worker, visibilityMillis, clock } = settings;
  const tendMillis = Math.min(TEND_MILLIS, visibilityMillis / 2);
  let tendAt = Number.NEGATIVE_INFINITY;
  let open = false;
  /** What may have ended its worker is handled one at a time. */
  let rescued: Held | undefined;

  /** Moves what is due; resolves to when more is, at the latest when it is time to look again. */
  const promote = async (): Promise<number> => {
    const now = clock.now();
    const nextDue = await stream.nextDue();
    if (nextDue === undefined) return now + tendMillis;
    if (nextDue > now + CLOCK_SLACK_MILLIS) return Math.min(now + tendMillis, nextDue - CLOCK_SLACK_MILLIS);
    const left = await stream.promote();
    return now + Math.min(tendMillis, left ?? tendMillis);
  };

  const reclaim = async (): Promise<readonly Held[]> => {
    if (rescued !== undefined) return [];
    const found = await stream.reclaim(worker, visibilityMillis);
    if (found === undefined) return [];
    const [held] = holding.add([found]);
    rescued = held;
    return [held!];
  };

  const attempt = async (most: number, blockMillis: number | undefined): Promise<readonly Held[]> => {
    if (rescued !== undefined && !holding.has(rescued)) {
      rescued = undefined;
      tendAt = Number.NEGATIVE_INFINITY;
    }
    if (clock.now() >= tendAt) {
      if (!open) await stream.open(UNSEEN_MILLIS);
      open = true;
      const nextAt = await promote();
      const found = await reclaim();
      tendAt = nextAt;
      if (found.length > 0) return found;
    }
    const handed: readonly HandedOut[] = await stream.read(worker, most, blockMillis);
    return holding.add(handed);
  };

  return {
    async take(most, blockMillis) {
      try {
        return await attempt(most, blockMillis);
      } catch (error) {
        if (!isNoGroup(error)) throw error;
        // Redis has lost it, and all that was there.
        open = false;
        tendAt = Number.NEGATIVE_INFINITY;
        return attempt(most, blockMillis);
      }
    },
    untilDue: () => Math.max(0, tendAt - clock.now()),
    dueIn(millis) {
      tendAt = Math.min(tendAt, clock.now() + millis);
    },
  };
}
