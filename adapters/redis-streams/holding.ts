import type { Clock } from "../../src/ports/clock.ts";
import type { Entry } from "./entry.ts";
import type { HandedOut, SubscriberStream } from "./stream.ts";

/** An entry in this worker's hands. */
export interface Held {
  readonly entry: Entry;
  /** From 1: the attempts made before, and the deliveries since. */
  readonly attempt: number;
  /** Aborts when it is another worker's, or may be. */
  readonly lost: AbortSignal;
}

/** What a worker has in its hands, and goes on to have while it works on it. */
export interface Holding {
  /** How many. */
  readonly size: number;
  /** Whether it is still in hand. */
  has(held: Held): boolean;
  /** Takes entries in hand; their visibility time begins anew until they are dropped or {@link Holding.keep} says otherwise. */
  add(handed: readonly HandedOut[]): readonly Held[];
  /** Until when the visibility time of an entry begins anew by itself, in milliseconds since 1970. */
  keep(held: Held, until: number): void;
  /** Begins the visibility time of an entry anew, now; whether it is still this worker's. Rejects where that is not known. */
  touch(held: Held): Promise<boolean>;
  /** How long ago its visibility time began. */
  age(held: Held): number;
  /** Lets an entry go, once it is acknowledged or put back. */
  drop(held: Held): void;
  /** Resolves when the next entry is let go or lost. */
  next(): Promise<void>;
}

/** Two renewals may fail before another worker takes an entry. */
const RENEWALS = 3;

/** What one worker has in its hands. */
export function holding(
  stream: SubscriberStream,
  how: { readonly worker: string; readonly visibilityMillis: number; readonly clock: Clock },
  trouble: (error: unknown) => void,
): Holding {
  const { worker, visibilityMillis, clock } = how;
  const all = new Map<Held, { touchedAt: number; keepUntil: number; readonly lost: AbortController }>();
  let waiting: (() => void)[] = [];
  let idle: AbortController | undefined;

  const drop = (held: Held): void => {
    if (!all.delete(held)) return;
    for (const wake of waiting) wake();
    waiting = [];
    if (all.size === 0) {
      idle?.abort("nothing is held");
      idle = undefined;
    }
  };
  const lose = (held: Held): void => {
    all.get(held)?.lost.abort("another worker may have it");
    drop(held);
  };
  const touch = async (some: readonly Held[]): Promise<void> => {
    const askedAt = clock.now();
    const kept = await stream.extend(
      worker,
      some.map(({ entry }) => entry.id),
    );
    for (const held of some) {
      const state = all.get(held);
      if (!kept.has(held.entry.id)) lose(held);
      else if (state !== undefined) state.touchedAt = askedAt;
    }
  };
  const renew = async (stop: AbortSignal): Promise<void> => {
    for (;;) {
      await clock.sleep(visibilityMillis / RENEWALS, stop);
      if (stop.aborted) return;
      const now = clock.now();
      const kept = [...all].filter(([, { keepUntil }]) => keepUntil > now).map(([held]) => held);
      try {
        if (kept.length > 0) await touch(kept);
      } catch (error) {
        trouble(error);
      }
      for (const [held, { touchedAt }] of all) if (clock.now() - touchedAt >= visibilityMillis) lose(held);
    }
  };

  return {
    get size() {
      return all.size;
    },
    has: (held) => all.has(held),
    add(handed) {
      const touchedAt = clock.now();
      const added = handed.map(({ entry, deliveries }): Held => {
        const lost = new AbortController();
        const held = { entry, attempt: entry.used + deliveries, lost: lost.signal };
        all.set(held, { touchedAt, keepUntil: Number.POSITIVE_INFINITY, lost });
        return held;
      });
      if (all.size > 0 && idle === undefined) {
        idle = new AbortController();
        renew(idle.signal).catch(trouble);
      }
      return added;
    },
    keep(held, until) {
      const state = all.get(held);
      if (state !== undefined) state.keepUntil = until;
    },
    async touch(held) {
      if (all.has(held)) await touch([held]);
      return all.has(held);
    },
    age: (held) => clock.now() - (all.get(held)?.touchedAt ?? Number.NEGATIVE_INFINITY),
    drop,
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
}
