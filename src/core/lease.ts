import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { askInbox } from "./ask.ts";
import type { Core } from "./core.ts";

/** A lease that is kept alive while a handler runs. */
export interface KeptLease {
  /** Aborts when the lease is lost, or has gone unrenewed for its whole length: another run may do what the handler still does. */
  readonly lost: AbortSignal;
  /** Ends the renewals; waits for one under way while the lease lasts, so that none comes after the completion. */
  stop(): Promise<void>;
}

/** The least wait after a renewal that failed. */
const RENEW_AGAIN_MILLIS = 1_000;

/**
 * Renews a claim, made at `claimedAt` or later, until it is stopped. A renewal that fails is tried again in half of the
 * time that the lease still lasts by this process's clock; one that is refused means that the lease is another's now.
 */
export function keepLease(core: Core, inbox: Inbox, claim: InboxClaim, claimedAt: number): KeptLease {
  const { inboxLeaseMillis, inboxRenewMillis } = core.settings;
  const stopping = new AbortController();
  const lost = new AbortController();

  const renewals = (async () => {
    let heldUntil = claimedAt + inboxLeaseMillis;
    let wait = inboxRenewMillis;
    for (;;) {
      await core.clock.sleep(Math.min(wait, inboxRenewMillis, heldUntil - core.clock.now()), stopping.signal);
      if (stopping.signal.aborted) return;
      const askedAt = core.clock.now();
      if (askedAt >= heldUntil) return lost.abort();
      const answered = new AbortController();
      try {
        // An answer that comes after the end of the lease is none.
        const held = await Promise.race([
          askInbox(core, "the inbox to renew a lease", () => inbox.renew(claim, inboxLeaseMillis)),
          core.clock.sleep(heldUntil - askedAt, answered.signal).then(() => false),
        ]);
        if (!held) return lost.abort();
        heldUntil = askedAt + inboxLeaseMillis;
        wait = inboxRenewMillis;
      } catch (error) {
        core.emit({ type: "background", error });
        wait = Math.max(RENEW_AGAIN_MILLIS, (heldUntil - core.clock.now()) / 2);
      } finally {
        answered.abort("answered");
      }
    }
  })();

  return {
    lost: lost.signal,
    async stop() {
      stopping.abort("stopped");
      await renewals;
    },
  };
}
