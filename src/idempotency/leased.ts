import { askInbox } from "../core/ask.ts";
import type { Core } from "../core/core.ts";
import type { Inbox, InboxClaim } from "../ports/inbox.ts";
import { encodeDone } from "./answer.ts";
import type { DoneRequest } from "./answer.ts";

/** Frees a key for its next request. Never rejects: what fails lets the lease lapse. */
export async function releaseLease(core: Core, inbox: Inbox, claim: InboxClaim): Promise<void> {
  try {
    await askInbox(core, "the inbox to release a request's key", () => inbox.release(claim));
  } catch (error) {
    core.emit({ type: "background", error });
  }
}

/** Remembers that a request was done, in place of the lease. Never rejects: what fails is found out by the key's next request. */
export async function remember(
  core: Core,
  { inbox, claim, done }: { readonly inbox: Inbox; readonly claim: InboxClaim; readonly done: DoneRequest },
  retentionMillis: number,
): Promise<void> {
  const completion = { outcome: encodeDone(done), retentionMillis };
  try {
    const kept = await askInbox(core, "the inbox to keep an answer", () => inbox.complete(claim, completion));
    if (kept === "completed") return;
    core.emit({ type: "leaseLost", consumer: claim.consumer, messageId: claim.messageId });
  } catch (error) {
    core.emit({ type: "background", error });
  }
}
