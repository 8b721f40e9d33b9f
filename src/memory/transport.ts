import { deduplicationId } from "../model/delivery.ts";
import type {
  DeliveryOutcome,
  DeliveryReports,
  Dispatch,
  DispatchResult,
  Transport,
  TransportDeadLetter,
  WakeCall,
} from "../ports/transport.ts";
import type { Receiver } from "../ports/receiver.ts";

/** What goes wrong with a dispatch instead of being taken. */
export type TransportFault =
  /** That answer, and nothing is kept. */
  | Exclude<DispatchResult, { readonly status: "accepted" }>
  /** The whole call rejects, and nothing of it is kept. */
  | "unreachable"
  /** It is kept all the same, but the caller is told to try again. */
  | "replyLost";

/** For which dispatches a fault is meant, and how often. */
export interface FaultOptions {
  /** Which dispatches it happens to. @default every dispatch */
  readonly when?: (dispatch: Dispatch) => boolean;
  /** How often it happens. @default 1 */
  readonly times?: number;
}

/** Options of a memory transport. */
export interface MemoryTransportOptions {
  /** Verifies what a test delivers over HTTP, see `memoryReceiver`. */
  readonly receiver?: Receiver;
}

/** A transport that keeps what it takes until a test delivers it. */
export interface MemoryTransport extends Transport {
  /** What it knows of deliveries, as a test told it. */
  readonly reports: DeliveryReports;
  /** Keeps a wake-up call, once per id. */
  wake(call: WakeCall): Promise<void>;
  /** Everything it ever took, in order, each deduplication id once. */
  readonly accepted: readonly Dispatch[];
  /** Every call of {@link Transport.publish}, with all its dispatches. */
  readonly calls: readonly (readonly Dispatch[])[];
  /** Every wake-up call it took, each id once. */
  readonly wakes: readonly WakeCall[];
  /** What was taken and not yet handed out; each dispatch is handed out once. */
  take(): readonly Dispatch[];
  /** Lets the next matching dispatches go wrong. Faults that match the same dispatch happen one after the other. */
  fail(fault: TransportFault, options?: FaultOptions): void;
  /** Says in the reports that a delivery arrived. */
  markDelivered(dispatch: Dispatch): void;
  /** Gives a delivery up: says so in the reports and keeps a dead letter. Resolves to what a failure callback would tell. */
  markFailed(
    dispatch: Dispatch,
    answer?: { readonly status?: number; readonly response?: string },
  ): TransportDeadLetter;
}

/**
 * A transport in memory, for tests: it delivers nothing by itself. A test takes what was accepted, hands it to its
 * consumer, and says what became of it.
 *
 * @example
 * ```ts
 * const transport = memoryTransport();
 * transport.fail("replyLost");
 * // … a request publishes …
 * for (const { record, body } of transport.take()) await app.request(record.destination, { method: "POST", body });
 * ```
 */
export function memoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  const accepted: Dispatch[] = [];
  const calls: (readonly Dispatch[])[] = [];
  const wakes: WakeCall[] = [];
  const known = new Set<string>();
  const outcomes = new Map<string, DeliveryOutcome>();
  const letters = new Map<string, TransportDeadLetter>();
  const faults: { readonly fault: TransportFault; readonly when: (dispatch: Dispatch) => boolean; left: number }[] = [];
  let taken = 0;
  let buried = 0;

  const faultOf = (dispatch: Dispatch): TransportFault | undefined => {
    const found = faults.find((candidate) => candidate.left > 0 && candidate.when(dispatch));
    if (found !== undefined) found.left--;
    return found?.fault;
  };

  const accept = (dispatch: Dispatch): DispatchResult => {
    const id = deduplicationId(dispatch.record);
    const deduplicated = known.has(id);
    if (!deduplicated) {
      known.add(id);
      outcomes.set(id, "pending");
      accepted.push(dispatch);
    }
    return { status: "accepted", deduplicated };
  };

  return {
    accepted,
    calls,
    wakes,

    async publish(dispatches) {
      calls.push(dispatches);
      const injected = dispatches.map(faultOf);
      if (injected.includes("unreachable")) throw new Error("the transport is out of reach");
      return dispatches.map((dispatch, i): DispatchResult => {
        const fault = injected[i];
        if (typeof fault === "object") return fault;
        const result = accept(dispatch);
        return fault === undefined ? result : { status: "retry", reason: "the reply was lost" };
      });
    },

    async wake(call) {
      if (!wakes.some((earlier) => earlier.id === call.id)) wakes.push(call);
    },

    take() {
      const fresh = accepted.slice(taken);
      taken = accepted.length;
      return fresh;
    },

    fail(fault, { when = () => true, times = 1 } = {}) {
      faults.push({ fault, when, left: times });
    },

    markDelivered({ record }) {
      outcomes.set(deduplicationId(record), "delivered");
    },

    markFailed({ record, body }, { status = 500, response = "" } = {}) {
      const letter: TransportDeadLetter = {
        transportId: `dead-${++buried}`,
        url: record.destination,
        body,
        meta: record.meta,
        epoch: record.epoch ?? "0",
        status,
        response,
      };
      outcomes.set(deduplicationId(record), "failed");
      letters.set(letter.transportId!, letter);
      return letter;
    },

    reports: {
      async outcomes(deduplicationIds) {
        const found = new Map<string, DeliveryOutcome>();
        for (const id of deduplicationIds) {
          const outcome = outcomes.get(id);
          if (outcome !== undefined) found.set(id, outcome);
        }
        return found;
      },
      async deadLetters() {
        return { letters: [...letters.values()] };
      },
      async discard(transportId) {
        letters.delete(transportId);
      },
    },

    ...(options.receiver === undefined ? {} : { receiver: options.receiver }),
  };
}
