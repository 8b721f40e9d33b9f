import { describe, expect, test } from "vitest";
import { keepLease } from "../../../src/core/lease.ts";
import type { KeptLease } from "../../../src/core/lease.ts";
import type { Inbox } from "../../../src/ports/inbox.ts";
import { serviceOf } from "../../races/race.ts";
import { settled, world } from "../../support/world.ts";
import type { World } from "../../support/world.ts";

const LEASE = 30_000;
const CLAIM = { consumer: "receipt", messageId: "m1", token: "t1" };

/** A lease of which only the renewals are of interest: `renew` says what each comes to, and `at` when it was asked. */
function kept(w: World, renew: Inbox["renew"], claimedAgo = 0): { lease: KeptLease; at: number[] } {
  const { core } = serviceOf(w, {});
  const settings = { ...core.settings, inboxLeaseMillis: LEASE, inboxRenewMillis: 10_000, storeTimeoutMillis: 60_000 };
  const began = w.clock.now();
  const at: number[] = [];
  const inbox: Inbox = {
    ...w.store.inbox,
    renew(claim, millis) {
      at.push(w.clock.now() - began);
      return renew(claim, millis);
    },
  };
  return { lease: keepLease({ ...core, settings }, inbox, CLAIM, began - claimedAgo), at };
}

async function second(w: World, seconds: number): Promise<void> {
  for (let n = 0; n < seconds; n++) await w.clock.advance(1_000);
}

describe("a lease that is kept", () => {
  test("is asked for anew each third of its length, for the whole of it", async () => {
    const w = world();
    const asked: unknown[] = [];
    const { lease, at } = kept(w, async (...question) => {
      asked.push(question);
      return true;
    });
    await second(w, 35);
    expect(at).toEqual([10_000, 20_000, 30_000]);
    expect(asked[0]).toEqual([CLAIM, LEASE]);
    await lease.stop();
    expect(lease.lost.aborted).toBe(false);
  });

  test("is asked for again after half of what is left, a second at least, while its renewals fail", async () => {
    const w = world();
    const { lease, at } = kept(w, async () => {
      throw new Error("out of reach");
    });
    await w.clock.advance(29_999);
    expect(at).toEqual([10_000, 20_000, 25_000, 27_500, 28_750, 29_750]);
    expect(lease.lost.aborted).toBe(false);
    await w.clock.advance(1);
    expect(lease.lost.aborted).toBe(true);
    expect(at).toHaveLength(6);
    expect(w.of("background")).toHaveLength(6);
  });

  test("goes on as before once a renewal succeeds again", async () => {
    const w = world();
    let failing = 2;
    const { lease, at } = kept(w, async () => {
      if (failing-- > 0) throw new Error("out of reach");
      return true;
    });
    await second(w, 46);
    expect(at).toEqual([10_000, 20_000, 25_000, 35_000, 45_000]);
    expect(lease.lost.aborted).toBe(false);
    await lease.stop();
  });

  test("is lost where the answer to a renewal comes after its end", async () => {
    const w = world();
    const { lease, at } = kept(w, () => new Promise(() => undefined));
    await w.clock.advance(29_999);
    expect(at).toEqual([10_000]);
    expect(lease.lost.aborted).toBe(false);
    await w.clock.advance(1);
    expect(lease.lost.aborted).toBe(true);
  });

  test("is lost at once where a renewal is refused", async () => {
    const w = world();
    const { lease, at } = kept(w, async () => false);
    await w.clock.advance(10_000);
    expect(lease.lost.aborted).toBe(true);
    await second(w, 30);
    expect(at).toEqual([10_000]);
  });

  test("counts from when it was claimed, not from when its keeping begins", async () => {
    const w = world();
    const { lease, at } = kept(w, () => new Promise(() => undefined), 25_000);
    await w.clock.advance(4_999);
    expect([at, lease.lost.aborted]).toEqual([[], false]);
    await w.clock.advance(1);
    expect(lease.lost.aborted).toBe(true);
    expect(at).toEqual([]);
  });

  test("is asked for no more once it is stopped, which waits for a renewal under way", async () => {
    const w = world();
    let answer: (held: boolean) => void = () => undefined;
    const { lease, at } = kept(w, () => new Promise((resolve) => (answer = resolve)));
    await w.clock.advance(10_000);
    let stopped = false;
    const stopping = lease.stop().then(() => (stopped = true));
    await settled();
    expect(stopped).toBe(false);
    answer(true);
    await stopping;
    await second(w, 60);
    expect(at).toEqual([10_000]);
    expect(lease.lost.aborted).toBe(false);
    expect(w.clock.sleepers).toBe(0);
  });
});
