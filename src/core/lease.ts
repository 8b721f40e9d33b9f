import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { askInbox } from "./ask.ts";
import type { Core } from "./core.ts";

/** A lease that is kept alive while a handler runs. */
export interface KeptLease {
  /** Aborts when the lease is lost: whatever the handler still does, another run may do too. */
  readonly lost: AbortSignal;
  /** Ends the renewals; waits for one under way, so that none comes after the completion. */
  stop(): Promise<void>;
}

/**
 * Renews a claim until it is stopped. A renewal that fails is tried again at the next turn; one that is refused means
 * that the lease is another's now.
 */
export function keepLease(core: Core, inbox: Inbox, claim: InboxClaim): KeptLease {
  const stopping = new AbortController();
  const lost = new AbortController();

  const renewals = (async () => {
    for (;;) {
      await core.clock.sleep(core.settings.inboxRenewMillis, stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        const held = await askInbox(core, "the inbox to renew a lease", () =>
          inbox.renew(claim, core.settings.inboxLeaseMillis),
        );
        if (held) continue;
        lost.abort();
        return;
      } catch (error) {
        core.emit({ type: "background", error });
      }
    }
  })();

  return {
    lost: lost.signal,
    async stop() {
      stopping.abort();
      await renewals;
    },
  };
}
