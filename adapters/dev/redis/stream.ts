import { NO_ID, type StreamId } from "./stream-id.ts";

/** A stream: entries by id, and the groups that read them. */
export interface Stream {
  /** In the order of their ids. */
  readonly entries: StreamEntry[];
  /** The highest id that an entry ever had. */
  lastId: StreamId;
  readonly groups: Map<string, StreamGroup>;
}

/** An entry: its id, and its fields with their values in turn. */
export interface StreamEntry {
  readonly id: StreamId;
  readonly fields: readonly string[];
}

/** A group of consumers that share a stream. */
export interface StreamGroup {
  /** The highest id that was handed out. */
  lastDelivered: StreamId;
  /** What was handed out and not acknowledged, in the order of ids. */
  readonly pending: PendingEntry[];
  /** When each consumer was last seen, by name. */
  readonly consumers: Map<string, number>;
}

/** An entry in somebody's hands. */
export interface PendingEntry {
  readonly id: StreamId;
  consumer: string;
  deliveredAtMillis: number;
  count: number;
}

export function createStream(): Stream {
  return { entries: [], lastId: NO_ID, groups: new Map() };
}

export function createGroup(lastDelivered: StreamId): StreamGroup {
  return { lastDelivered, pending: [], consumers: new Map() };
}

export function cloneStream(stream: Stream): Stream {
  const groups = [...stream.groups].map(([name, { lastDelivered, pending, consumers }]) => {
    const copies = pending.map((entry) => ({ ...entry }));
    return [name, { lastDelivered, pending: copies, consumers: new Map(consumers) }] as const;
  });
  return { entries: [...stream.entries], lastId: stream.lastId, groups: new Map(groups) };
}

/** The position of the first item whose id is not below `id`. */
export function positionOf(items: readonly { readonly id: StreamId }[], id: StreamId): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (items[middle]!.id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The item of an id. */
export function itemOf<Item extends { readonly id: StreamId }>(items: readonly Item[], id: StreamId): Item | undefined {
  const item = items[positionOf(items, id)];
  return item?.id === id ? item : undefined;
}

/** Takes the item of an id out; `false` where there is none. */
export function removeItem(items: { readonly id: StreamId }[], id: StreamId): boolean {
  const position = positionOf(items, id);
  if (items[position]?.id !== id) return false;
  items.splice(position, 1);
  return true;
}
