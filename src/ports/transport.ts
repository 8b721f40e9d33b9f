import type { DeliveryRecord } from "../model/delivery.ts";
import type { ConfigurationProblem } from "../errors.ts";
import type { Receiver } from "./receiver.ts";

/** A delivery as it goes out. */
export interface Dispatch {
  /** The delivery that it is. */
  readonly record: DeliveryRecord;
  /** The body to deliver: the half message with the time of its decision. */
  readonly body: string;
  /** Where the transport reports what it could not deliver, if anywhere. */
  readonly failureUrl?: string;
}

/** What became of one dispatch. */
export type DispatchResult =
  /** Taken over, or recognised as an earlier copy of ours: the transport retries from here. */
  | { readonly status: "accepted"; readonly deduplicated: boolean }
  /** Not taken, and never will be as it is. */
  | { readonly status: "refused"; readonly reason: string; readonly code?: number }
  /** Not taken, or not known: send it again, at the earliest after `afterMillis`. */
  | { readonly status: "retry"; readonly reason: string; readonly afterMillis?: number };

/** Carries messages, and retries until they arrive. */
export interface Transport {
  /** Sends all dispatches, in as few calls as the transport allows. One result each, in order; never rejects for one of them. */
  publish(dispatches: readonly Dispatch[]): Promise<readonly DispatchResult[]>;
  /** Sends a wake-up call of our own: an empty signed request to `url`, once per `id`. Rejects where it is not known to be taken. */
  wake?(call: WakeCall): Promise<void>;
  /**
   * Where it carries no HTTP: the channels that it has, by the scheme of their destinations, `scheme:channel/subscriber`.
   * It keeps no event log; whoever takes deliveries out of them hands them to `ac.subscribers()`.
   */
  readonly channels?: Readonly<Record<string, readonly string[]>>;
  /**
   * The schemes of those channels that may lose what they took, as they lie in a store that may be lost. A barrier row is
   * settled with such a delivery only when it is done.
   */
  readonly lossy?: readonly string[];
  /** Whether it calls URLs. @default where it has no channels */
  readonly urls?: boolean;
  /** Why it would never take a delivery; asked before anything is kept of it. `undefined` where it would. */
  refusal?(record: DeliveryRecord): Refusal | undefined;
  /** What the transport knows of deliveries after it took them. */
  readonly reports?: DeliveryReports;
  /** Verifies what the transport delivers, where it delivers over HTTP. */
  readonly receiver?: Receiver;
  /** What is wrong with the transport's own configuration, its receiver's apart; empty where nothing is. */
  readonly problems?: (context: ConfigurationContext) => readonly ConfigurationProblem[];
}

/** Why a transport would never take a delivery. */
export interface Refusal {
  /** What stands in the way, as in "found …". */
  readonly found: string;
  /** What to do about it, one sentence. */
  readonly hint: string;
  /** The code of the error that tells of it. @default "ERR_INVALID_MESSAGE" */
  readonly code?: "ERR_INVALID_MESSAGE" | "ERR_MESSAGE_TOO_LARGE";
}

/** A delayed call of our own sweep route. */
export interface WakeCall {
  /** Where it is called. */
  readonly url: string;
  /** Names the call: a second one of the same id is dropped. */
  readonly id: string;
  /** Seconds since 1970 before which it is not delivered. */
  readonly notBeforeSeconds: number;
}

/** What an adapter may look at when it checks its own configuration. */
export interface ConfigurationContext {
  /** Dev mode was asked for in code, and `publicUrl` is on this machine. */
  readonly dev: boolean;
}

/** The transport's own memory of deliveries. */
export interface DeliveryReports {
  /** What became of these, as far as the transport's event log still tells; by deduplication id. */
  outcomes(deduplicationIds: readonly string[]): Promise<ReadonlyMap<string, DeliveryOutcome>>;
  /** The transport's own dead letters that carry our label. */
  deadLetters(cursor?: string): Promise<{ readonly letters: readonly TransportDeadLetter[]; readonly cursor?: string }>;
  /** Deletes a dead letter of the transport; one that is gone already is fine. */
  discard(transportId: string): Promise<void>;
}

/** What an event log says of a delivery. */
export type DeliveryOutcome = "delivered" | "failed" | "pending";

/** A dead letter as the transport or its failure callback tells it. */
export interface TransportDeadLetter {
  /** The transport's id of its entry, where it keeps one. */
  readonly transportId?: string;
  /** Where it was to go. */
  readonly url: string;
  /** The body as it was to be delivered. */
  readonly body: string;
  /** The facts that travelled in a header; unsigned, so a hint that is checked against the body. */
  readonly meta?: string;
  /** Which redrive it belongs to; `"0"` for the first dispatch. */
  readonly epoch?: string;
  /** The last HTTP status, where there was one. */
  readonly status?: number;
  /** The last answer, or the transport's words. */
  readonly response: string;
}
