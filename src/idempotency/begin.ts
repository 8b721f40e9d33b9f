import { askInbox } from "../core/ask.ts";
import type { Core } from "../core/core.ts";
import { keepLease } from "../core/lease.ts";
import type { KeptLease } from "../core/lease.ts";
import type { Verdict } from "../model/states.ts";
import type { Inbox, InboxClaim, InboxReader } from "../ports/inbox.ts";
import { decodeDone } from "./answer.ts";
import type { DoneRequest } from "./answer.ts";
import { releaseLease, remember } from "./leased.ts";
import { generationOf, nextGeneration, tokenOf, transactionIdOf } from "./generation.ts";
import type { Generation } from "./generation.ts";

/** A request with a key. */
export interface KeyedPlace {
  readonly inbox: Inbox & InboxReader;
  /** The key, with all that it is unique in. */
  readonly keyId: string;
  /** The fingerprint of what is asked for. */
  readonly payload: string;
  /** How long the answer of a request is kept, in milliseconds. */
  readonly retentionMillis: number;
  /** How long it is kept on record which run a key has, in milliseconds. */
  readonly recordMillis: number;
  /** What became of an earlier run's transaction: revokes it where it has no decision. `undefined` where that is not known yet. */
  readonly fateOf: (transactionId: string) => Promise<Verdict | undefined>;
}

/** A run that may begin: it holds the lease of its key, and no other run of that key can commit. */
export interface KeyedRun {
  readonly inbox: Inbox;
  /** The lease. */
  readonly claim: InboxClaim;
  readonly lease: KeptLease;
  readonly transactionId: string;
  readonly payload: string;
}

/** What a request with a key comes to. */
export type Beginning =
  | { readonly state: "begun"; readonly run: KeyedRun }
  /** It was done before. */
  | { readonly state: "done"; readonly done: DoneRequest }
  /** The key names another request. */
  | { readonly state: "reused" }
  /** It is being done, or its outcome is not known. */
  | { readonly state: "inFlight" };

/** The inbox has two entries for a key. One is leased while a run lasts, and then holds what came of it. */
export const LEASE = "aftercommit:idempotency-lease";
/** The other one is taken by the run on record, and says which one that is, even when it has died. */
export const RECORD = "aftercommit:idempotency-run";

/** How often a run that takes another's place may find that yet another has. */
const MAX_ROUNDS = 4;

/**
 * Begins a run of a request with a key, unless it was done, or is being done.
 *
 * At most one run of a key commits, whatever dies or stands still: a run begins only with its name on record, and a name is
 * replaced only after the transaction of the run that bears it was rolled back for good.
 *
 * @throws {UnavailableError} where the inbox, or what decides, is out of reach; then nothing was begun.
 */
export async function begin(core: Core, place: KeyedPlace): Promise<Beginning> {
  const { inbox, keyId, payload } = place;
  const first = nextGeneration(core.crypto, 0, payload);
  const claim: InboxClaim = { consumer: LEASE, messageId: keyId, token: tokenOf(first) };
  const claimedAt = core.clock.now();
  const found = await askInbox(core, "the inbox to lease a request's key", () =>
    inbox.claim(claim, core.settings.inboxLeaseMillis),
  );
  if (found.state === "done") {
    const done = decodeDone(found.outcome);
    return done.payload === payload ? { state: "done", done } : { state: "reused" };
  }
  if (found.state === "busy") {
    const holder = await askInbox(core, "the inbox to tell of a request", () => inbox.look(claim));
    const running = holder.state === "leased" ? generationOf(holder.token) : undefined;
    return { state: running === undefined || running.payload === payload ? "inFlight" : "reused" };
  }
  const lease = keepLease(core, inbox, claim, claimedAt);
  try {
    const recorded = await record(core, place, first, claim);
    if (recorded.state === "begun")
      return { state: "begun", run: { inbox, claim, lease, payload, transactionId: recorded.transactionId } };
    await lease.stop();
    if (recorded.state === "committed") {
      const { state: _, ...done } = recorded;
      await remember(core, { inbox, claim, done }, place.retentionMillis);
      return done.payload === payload ? { state: "done", done } : { state: "reused" };
    }
    await releaseLease(core, inbox, claim);
    return { state: "inFlight" };
  } catch (error) {
    await lease.stop();
    await releaseLease(core, inbox, claim);
    throw error;
  }
}

type Recorded =
  | { readonly state: "begun"; readonly transactionId: string }
  | { readonly state: "committed"; readonly transactionId: string; readonly payload: string }
  | { readonly state: "inFlight" };

/** Puts a run on record, after the run that is there was revoked. */
async function record(core: Core, place: KeyedPlace, first: Generation, claim: InboxClaim): Promise<Recorded> {
  const { inbox, keyId } = place;
  let own = first;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const entry = { consumer: RECORD, messageId: keyId, token: tokenOf(own) };
    const found = await askInbox(core, "the inbox to keep a run on record", () =>
      inbox.claim(entry, place.recordMillis),
    );
    if (found.state === "claimed") {
      // A run that stood still meanwhile may have had the key's other entry taken from it.
      const alone = round === 0 || (await holds(core, inbox, claim));
      return alone ? { state: "begun", transactionId: await transactionIdOf(core.crypto, keyId, own) } : IN_FLIGHT;
    }
    const standing = await askInbox(core, "the inbox to tell which run is on record", () => inbox.look(entry));
    if (standing.state !== "leased") continue;
    const earlier = generationOf(standing.token);
    if (earlier === undefined) return IN_FLIGHT;
    const transactionId = await transactionIdOf(core.crypto, keyId, earlier);
    const verdict = await place.fateOf(transactionId);
    if (verdict === undefined) return IN_FLIGHT;
    if (verdict === "committed") return { state: "committed", transactionId, payload: earlier.payload };
    await askInbox(core, "the inbox to take a revoked run off the record", () =>
      inbox.release({ ...entry, token: standing.token }),
    );
    own = nextGeneration(core.crypto, earlier.number + 1, own.payload);
  }
  return IN_FLIGHT;
}

const IN_FLIGHT: Recorded = { state: "inFlight" };

function holds(core: Core, inbox: Inbox, claim: InboxClaim): Promise<boolean> {
  return askInbox(core, "the inbox to renew a lease", () => inbox.renew(claim, core.settings.inboxLeaseMillis));
}
