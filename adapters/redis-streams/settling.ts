import type { Clock } from "../../src/ports/clock.ts";
import type { Held, Holding } from "./holding.ts";
import type { SubscriberStream } from "./stream.ts";

/** How a worker lets go of messages. */
export interface Settling {
  /** Acknowledges; several are acknowledged in one command, a moment later. */
  acknowledge(held: Held): void;
  /** Acknowledges what waits for it, now. Never rejects: what could not be is tried again, and told. */
  flush(): Promise<void>;
  /** Puts a message back, to be handed out after a wait, with the attempts made so far. Rejects where that is not known. */
  putBack(held: Held, how: { readonly used: number; readonly waitMillis: number }): Promise<void>;
}

/** How long acknowledgements wait for others to go with, and after trouble; and how many go at once. */
const GATHER_MILLIS = 100;
const AGAIN_MILLIS = 2_000;
const MAX_AT_ONCE = 200;

/** Lets go of what one worker holds. */
export function settling(
  stream: SubscriberStream,
  holding: Holding,
  how: { readonly worker: string; readonly batch: number; readonly clock: Clock },
  trouble: (error: unknown) => void,
): Settling {
  const waiting = new Set<Held>();
  let flushing: Promise<void> = Promise.resolve();
  let gathering = false;

  const finish = async (): Promise<void> => {
    while (waiting.size > 0) {
      const some = [...waiting].slice(0, MAX_AT_ONCE);
      await stream.finish(some.map(({ entry }) => entry));
      for (const held of some) {
        waiting.delete(held);
        holding.drop(held);
      }
    }
  };
  const flush = (): Promise<void> => {
    flushing = flushing.then(finish).catch((error: unknown) => {
      trouble(error);
      gather(AGAIN_MILLIS);
    });
    return flushing;
  };
  const gather = (millis: number): void => {
    if (gathering) return;
    gathering = true;
    how.clock
      .sleep(millis)
      .then(() => {
        gathering = false;
        return flush();
      })
      .catch(trouble);
  };

  return {
    acknowledge(held) {
      waiting.add(held);
      if (waiting.size >= holding.size || waiting.size >= how.batch) flush().catch(trouble);
      else gather(GATHER_MILLIS);
    },
    flush,
    async putBack(held, back) {
      try {
        await stream.putBack(how.worker, held.entry, back);
      } catch (error) {
        // It is left to lapse, unless it was put back all the same.
        holding.keep(held, 0);
        throw error;
      }
      holding.drop(held);
    },
  };
}
