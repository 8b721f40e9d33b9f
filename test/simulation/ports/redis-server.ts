import { memoryStore } from "aftercommit/memory";
import type { MemoryStore, Snapshot } from "aftercommit/memory";
import { skewedClock } from "../process.ts";
import type { Scheduler } from "../scheduler.ts";

/** What a loss took: ids of transactions, and keys of inbox entries. */
export interface Loss {
  readonly transactions: ReadonlySet<string>;
  readonly inbox: ReadonlySet<string>;
}

/** The one Redis of a world: the memory store, which answers as the scripts of the Redis store do, and what befalls it. */
export interface RedisServer {
  readonly store: MemoryStore;
  /** What a replica that lags behind knows. */
  readonly replica: MemoryStore;
  /** How far its clock is ahead. */
  skewMillis: number;
  /** It takes no writes that need room. */
  full: boolean;
  /** It answers nobody. */
  down: boolean;
  /** The replica catches up. */
  copy(): void;
  /** The replica takes over: what it does not know is lost. */
  failOver(): Loss;
  /** Somebody empties it. */
  flush(): Loss;
}

const EMPTY: Snapshot = { due: [], decisions: [], held: [], dead: [], left: [], inbox: [] };

/** Starts it. */
export function redisServer(scheduler: Scheduler): RedisServer {
  const restoreTo = (snapshot: Snapshot): Loss => {
    const before = server.store.snapshot();
    server.store.restore(snapshot);
    return lossBetween(before, snapshot);
  };
  const server: RedisServer = {
    store: undefined as never,
    replica: undefined as never,
    skewMillis: 0,
    full: false,
    down: false,
    copy: () => server.replica.restore(server.store.snapshot()),
    failOver: () => restoreTo(server.replica.snapshot()),
    flush() {
      server.replica.restore(EMPTY);
      return restoreTo(EMPTY);
    },
  };
  const clock = skewedClock(scheduler, server);
  return Object.assign(server, { store: memoryStore({ clock }), replica: memoryStore({ clock }) });
}

/** Whatever differs has been lost, be it that its state is an older one. */
function lossBetween(before: Snapshot, after: Snapshot): Loss {
  const transactions = new Set<string>();
  const inbox = new Set<string>();
  compare(before.due, after.due, (_, { record }) => transactions.add(record.transactionId));
  compare(before.decisions, after.decisions, (id) => transactions.add(id));
  compare(before.held, after.held, (_, record) => transactions.add(record.transactionId));
  compare(before.dead, after.dead, (_, { record }) => transactions.add(record.transactionId));
  compare(before.left, after.left, (id) => transactions.add(id.split("_")[0]!));
  compare(before.inbox, after.inbox, (key) => inbox.add(key));
  return { transactions, inbox };
}

type Entries<T> = readonly (readonly [string, T])[];

function compare<T>(before: Entries<T>, after: Entries<T>, differs: (key: string, value: T) => void): void {
  const [was, is] = [new Map(before), new Map(after)];
  for (const [key, value] of before) if (is.get(key) !== value) differs(key, value);
  for (const [key, value] of after) if (!was.has(key)) differs(key, value);
}
