import { shardOf } from "../model/shard.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogStore } from "../ports/log-store.ts";
import { systemClock } from "../system/clock.ts";
import { memoryDeadLetters } from "./dead-letters.ts";
import { memoryInbox } from "./inbox.ts";
import { memoryLogReader } from "./log-reader.ts";
import { emptyState, restoreSnapshot, takeSnapshot } from "./state.ts";
import type { Snapshot } from "./state.ts";
import { memoryTransactionLog } from "./transaction-log.ts";

/** Options of a memory store. */
export interface MemoryStoreOptions {
  /** The store's own clock. @default systemClock */
  readonly clock?: Clock;
  /** Into how many parts ids are spread, as a sharded store does it. @default 1 */
  readonly shards?: number;
}

/** A log store that can be looked into, and put back to an earlier state. */
export interface MemoryStore extends LogStore {
  /** Everything it holds. */
  snapshot(): Snapshot;
  /** Goes back to what it held then, as a failover to a replica that lags behind does. Fencing tokens still rise. */
  restore(snapshot: Snapshot): void;
}

/**
 * The log and the inbox in memory, for tests and simulations: it answers as the Redis store does, on a clock of your
 * choice. It ends with the process, so it protects nothing.
 *
 * @example
 * ```ts
 * const clock = simulatedClock();
 * const log = memoryStore({ clock });
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { clock = systemClock, shards = 1 } = options;
  const state = emptyState();
  let born: string | undefined;
  return {
    transactions: memoryTransactionLog(state, clock),
    deadLetters: memoryDeadLetters(state, clock),
    reader: memoryLogReader(state),
    inbox: memoryInbox(state, clock, shards),
    shardOf: (id) => shardOf(id, shards),
    async mark(fresh) {
      return (born ??= fresh);
    },
    async cleanUp({ now, retentionMillis }) {
      const cutoff = now - retentionMillis;
      const needed = new Set(
        [...state.due.values()]
          .map((entry) => entry.record.transactionId)
          .concat([...state.held.values()].map((record) => record.transactionId)),
      );
      for (const [id, decision] of state.decisions)
        if (decision.decidedAt <= cutoff && !needed.has(id)) state.decisions.delete(id);
      for (const [id, leftAt] of state.left) if (leftAt <= cutoff) state.left.delete(id);
      for (const [key, entry] of state.inbox) if (clock.now() > entry.until) state.inbox.delete(key);
    },
    snapshot: () => takeSnapshot(state),
    restore: (snapshot) => restoreSnapshot(state, snapshot),
  };
}
