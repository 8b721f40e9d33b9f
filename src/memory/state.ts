import { deduplicationId } from "../model/delivery.ts";
import type { DeliveryRecord } from "../model/delivery.ts";
import type { Decision } from "../model/states.ts";
import type { DeadLetter } from "../ports/dead-letters.ts";
import type { Mark } from "../ports/transaction-log.ts";

/** An unsettled record: when it is due, where it stands, and who may change it. Replaced, never changed in place. */
export interface Unsettled {
  /** The delivery. */
  readonly record: DeliveryRecord;
  /** Where it stands. */
  readonly mark: Mark;
  /** How often the current step was tried. */
  readonly attempts: number;
  /** Milliseconds since 1970; the end of the lease while it is claimed. */
  readonly dueAt: number;
  /** The fencing token of the claim that holds it. */
  readonly token?: number;
}

/** A message at a consumer: leased to a run, or done; forgotten after `until`. */
export type InboxEntry = { readonly token: string; readonly until: number } & (
  | { readonly state: "leased" }
  | { readonly state: "done"; readonly outcome: string }
);

/** Everything a memory store holds. */
export interface MemoryState {
  /** By {@link identity}. */
  readonly due: Map<string, Unsettled>;
  /** By transaction id. */
  readonly decisions: Map<string, Decision>;
  /** By {@link identity}. */
  readonly held: Map<string, DeliveryRecord>;
  /** By delivery key. */
  readonly dead: Map<string, DeadLetter>;
  /** When a dead letter was redriven or discarded, by its deduplication id. */
  readonly left: Map<string, number>;
  /** By {@link inboxKey}. */
  readonly inbox: Map<string, InboxEntry>;
}

/** A copy of everything a memory store held at one moment; JSON can hold it. */
export type Snapshot = { readonly [Name in keyof MemoryState]: readonly MapEntry<MemoryState[Name]>[] };

/** An entry of a map, as JSON holds it. */
export type MapEntry<M> = M extends Map<infer Key, infer Value> ? readonly [Key, Value] : never;

/** An empty store's state. */
export function emptyState(): MemoryState {
  return {
    due: new Map(),
    decisions: new Map(),
    held: new Map(),
    dead: new Map(),
    left: new Map(),
    inbox: new Map(),
  };
}

/** What tells one record from another: two epochs of a delivery are two records. */
export function identity(record: DeliveryRecord): string {
  return `${deduplicationId(record)}\n${record.meta}`;
}

/** One text per pair, whatever either holds. */
export function inboxKey({ consumer, messageId }: { consumer: string; messageId: string }): string {
  return JSON.stringify([consumer, messageId]);
}

/** A copy of the state. Its values are immutable, so that the maps alone are copied. */
export function takeSnapshot(state: MemoryState): Snapshot {
  return {
    due: [...state.due],
    decisions: [...state.decisions],
    held: [...state.held],
    dead: [...state.dead],
    left: [...state.left],
    inbox: [...state.inbox],
  };
}

/** Puts the state back to what it was. */
export function restoreSnapshot(state: MemoryState, snapshot: Snapshot): void {
  refill(state.due, snapshot.due);
  refill(state.decisions, snapshot.decisions);
  refill(state.held, snapshot.held);
  refill(state.dead, snapshot.dead);
  refill(state.left, snapshot.left);
  refill(state.inbox, snapshot.inbox);
}

function refill<Value>(map: Map<string, Value>, entries: readonly (readonly [string, Value])[]): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}
