import { array, asyncProperty, constantFrom, nat, record, scheduler } from "fast-check";
import type { Scheduler } from "fast-check";
import { describe, test } from "vitest";
import { askInbox } from "../../src/core/ask.ts";
import type { Core } from "../../src/core/core.ts";
import { keepLease } from "../../src/core/lease.ts";
import { memoryStore } from "../../src/memory/index.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Inbox } from "../../src/ports/inbox.ts";
import { alwaysHolds, holds, isCaught, race, raceWorld, serviceOf, turn } from "./race.ts";

const CLAIM = { consumer: "receipt", messageId: "m1", token: "first" };
const OTHER = { ...CLAIM, token: "other" };

/** The other tries so often. */
const STEP = 200;
const STEPS = 450;
/** The core waits 3 s for an answer. */
const delay = constantFrom(0, 0, 0, 900, 2_100, 4_000);

/** What becomes of each renewal: how long it is on its way, and its answer; whether it arrives, and is heard of. */
interface Reply {
  readonly there: number;
  readonly back: number;
  readonly ends: "heard" | "lost" | "unreachable";
}
const ends = constantFrom<Reply["ends"]>("heard", "heard", "lost", "unreachable", "unreachable");
const replies = array<Reply>(record({ there: delay, back: delay, ends }), { minLength: 1, maxLength: 8 });

const warned = "whoever runs while another takes over has been told that its lease is lost";
const steady = "a lease whose renewals are heard in time is never lost";
const quiet = "nothing is renewed once a run has stopped";

type Keep = typeof keepLease;

/** A run keeps its lease while renewals go wrong, time passes, and another run tries to take over. */
async function keeping(s: Scheduler, said: readonly Reply[], stopAt: number, keep: Keep): Promise<void> {
  const clock = quickClock();
  const store = memoryStore({ clock });
  const { core } = serviceOf(raceWorld(), { log: store, clock });
  let renewals = 0;
  let stopped = false;
  let taken = false;
  let late = false;
  let afterStop = false;
  const inbox: Inbox = {
    ...store.inbox,
    async renew(claim, lease) {
      afterStop ||= stopped;
      const { there, back, ends: end } = said[renewals++ % said.length]!;
      if (there > 0) await clock.sleep(there);
      if (end === "unreachable") throw new Error("the inbox is out of reach");
      const held = await store.inbox.renew(claim, lease);
      if (back > 0) await clock.sleep(back);
      if (end === "lost") throw new Error("the reply was lost");
      return held;
    },
  };
  const claimedAt = clock.now();
  await store.inbox.claim(CLAIM, core.settings.inboxLeaseMillis);
  const lease = keep(core, inbox, CLAIM, claimedAt);

  for (let step = 0; step < STEPS; step++) {
    await clock.advance(STEP);
    const other = async (): Promise<void> => {
      await turn(s, "the other tries");
      if (taken || (await store.inbox.claim(OTHER, 1_000_000)).state !== "claimed") return;
      taken = true;
      late = !stopped && !lease.lost.aborted;
    };
    const stop = async (): Promise<void> => {
      await turn(s, "the run stops");
      const stopping = lease.stop().then(() => (stopped = true));
      await clock.advance(5_000);
      await stopping;
    };
    if (step === stopAt) await race(s, other(), stop());
    else if (step % 5 === 0) await race(s, other());
    else if (clock.now() > claimedAt + core.settings.inboxLeaseMillis && !taken) await race(s, other());
    if (late) break;
  }
  holds(!late, warned);
  holds(!afterStop, quiet);
  const good = said.every((reply) => reply.there + reply.back < 3_000 && reply.ends === "heard");
  holds(!good || stopped || (!taken && !lease.lost.aborted), steady);
  void lease.stop();
  await clock.advance(10_000);
}

/** A simulated clock without turns of the event loop: whoever wakes has only promises to wait for. */
function quickClock(): Clock & { advance(millis: number): Promise<void> } {
  let now = 1_800_000_000_000;
  const sleeping = new Set<{ readonly at: number; readonly wake: () => void }>();
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) await Promise.resolve();
  };
  return {
    now: () => now,
    sleep: (millis, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const wake = (): void => {
          sleeping.delete(sleeper);
          resolve();
        };
        const sleeper = { at: now + Math.max(0, millis), wake };
        sleeping.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      }),
    async advance(millis) {
      const end = now + millis;
      for (;;) {
        const next = [...sleeping].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = end;
    },
  };
}

const property = (keep: Keep) =>
  asyncProperty(scheduler(), replies, nat(2 * STEPS), (s, said, stopAt) => keeping(s, said, stopAt, keep));

describe("a run keeps its lease while another tries to take over", () => {
  test(`${warned}; ${steady}; ${quiet}`, () => alwaysHolds(property(keepLease), 300), 120_000);

  /** What keeps a lease with a mistake. */
  const wrong = (mistake: "takes silence for a renewal" | "goes on after its end"): Keep => {
    return (core: Core, inbox, claim, claimedAt) => {
      const { inboxLeaseMillis, inboxRenewMillis } = core.settings;
      const stopping = new AbortController();
      const lost = new AbortController();
      const renewals = (async () => {
        let heldUntil = claimedAt + inboxLeaseMillis;
        for (;;) {
          const wait = Math.min(inboxRenewMillis, heldUntil - core.clock.now());
          const signal = mistake === "goes on after its end" ? undefined : stopping.signal;
          await core.clock.sleep(wait, signal);
          if (signal?.aborted === true) return;
          if (core.clock.now() >= heldUntil) return lost.abort();
          try {
            if (!(await askInbox(core, "a renewal", () => inbox.renew(claim, inboxLeaseMillis)))) return lost.abort();
            heldUntil = core.clock.now() + inboxLeaseMillis;
          } catch {
            if (mistake === "takes silence for a renewal") heldUntil = core.clock.now() + inboxLeaseMillis;
          }
        }
      })();
      return {
        lost: lost.signal,
        async stop() {
          stopping.abort();
          if (mistake !== "goes on after its end") await renewals;
        },
      };
    };
  };

  test(
    "an order is found in which a keeper shows that takes silence for a renewal",
    () => isCaught(property(wrong("takes silence for a renewal")), new RegExp(warned)),
    120_000,
  );

  test(
    "an order is found in which a keeper shows that is not stopped",
    () => isCaught(property(wrong("goes on after its end")), new RegExp(quiet)),
    120_000,
  );
});
